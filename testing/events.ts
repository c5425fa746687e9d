/**
 * What a server told a test.
 *
 * @module
 */

import type { CloseEvent, EchoServer, ServeEvent } from "../server.ts";
import { Watched } from "./waiting.ts";

/** Keeps the events of one server. */
export interface Recorder {
  /** All events so far. */
  readonly events: readonly ServeEvent[];

  /** Takes an event: the server's option of this name. */
  onEvent(event: ServeEvent): void;

  /**
   * Waits until some connections have ended.
   *
   * @param server The server.
   * @param count How many connections.
   * @returns The events of those that ended.
   * @throws {Error} If the server finishes before.
   */
  untilClosed(server: EchoServer, count?: number): Promise<CloseEvent[]>;
}

/**
 * Makes a recorder for a server.
 *
 * @returns The recorder, whose methods need no `this`.
 */
export function recorder(): Recorder {
  const events: ServeEvent[] = [];
  const watched = new Watched();
  return {
    events,
    onEvent(event) {
      events.push(event);
      watched.changed();
    },
    untilClosed(server, count = 1) {
      const end = () => watched.ended("the server finished");
      server.finished.then(end, end);
      return watched.until(
        () => {
          const closed = events.filter((event) => event.type === "close");
          return closed.length >= count ? closed : undefined;
        },
        () => `${count} closed connections among: ${Deno.inspect(events)}`,
      );
    },
  };
}
