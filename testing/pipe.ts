/**
 * Watching the connections of a process to itself.
 *
 * @module
 */

import { stayAlive } from "./clock.ts";
import { SelfPipe } from "../net/self_pipe.ts";
import { replace } from "./replace.ts";

/** A pipe that is closed at the end of its test. */
export class TestPipe extends SelfPipe implements AsyncDisposable {
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What a test does while a pipe connects; what it throws makes that step fail. */
export interface PipeSteps {
  /** Called before a pipe listens. */
  listen?(options: Deno.TcpListenOptions): void;
  /** Called before a pipe connects to its port. */
  beforeConnect?(port: number): unknown;
  /** Called before a pipe accepts. */
  beforeAccept?(): void;
  /** Called with the end that connected. */
  near?(near: Deno.TcpConn): void;
  /** Called with each end that was accepted. */
  far?(far: Deno.TcpConn): void;
}

/** What was seen of pipes. */
export interface WatchedPipes extends Disposable {
  /** How often they listened. */
  listens: number;
  /** The ends that connected. */
  near: Deno.TcpConn[];
  /** The ends that were accepted. */
  far: Deno.TcpConn[];
}

/**
 * Watches pipes connect. Whatever else listens and connects counts, too.
 *
 * @param steps What the test does meanwhile.
 * @returns What is seen; disposing of it ends the watch.
 */
export function watchPipes(steps: PipeSteps = {}): WatchedPipes {
  const { listen, connect } = Deno;
  const restored = new DisposableStack();
  const watched: WatchedPipes = {
    ...{ listens: 0, near: [], far: [] },
    [Symbol.dispose]: () => restored.dispose(),
  };
  const watchedListen = (options: Deno.TcpListenOptions) => {
    watched.listens++;
    steps.listen?.(options);
    const listener = listen(options);
    const accept = listener.accept.bind(listener);
    listener.accept = async () => {
      steps.beforeAccept?.();
      const far = await accept();
      watched.far.push(far);
      steps.far?.(far);
      return far;
    };
    return listener;
  };
  const watchedConnect = async (options: Deno.ConnectOptions) => {
    await steps.beforeConnect?.(options.port);
    const near = await connect(options);
    watched.near.push(near);
    steps.near?.(near);
    return near;
  };
  // A pipe's sockets are unref'd: alone, they do not keep a test's event loop alive.
  restored.use(stayAlive());
  restored.use(replace(Deno, "listen", watchedListen as typeof listen));
  restored.use(replace(Deno, "connect", watchedConnect as typeof connect));
  return watched;
}

/**
 * Lets what is written to a connection get lost.
 *
 * @param conn The connection.
 */
export function mute(conn: Deno.TcpConn): void {
  conn.write = (bytes) => Promise.resolve(bytes.length);
}

/**
 * Notes whether a promise settled.
 *
 * @param promise The promise.
 * @returns What is noted.
 */
export function noting(promise: Promise<unknown>): { isSettled: boolean } {
  const noted = { isSettled: false };
  promise.then(() => noted.isSettled = true);
  return noted;
}
