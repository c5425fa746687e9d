/**
 * A clock that a test moves: no test waits for it, and no load is too much for it.
 *
 * The package is named here and not in deno.json, as only tests use it.
 *
 * @module
 */

// @ts-types="npm:@types/sinonjs__fake-timers@15.0.1"
import FakeTimers from "npm:@sinonjs/fake-timers@15.5.0";
import { replace } from "./replace.ts";

/** A clock that stands still unless a test moves it. */
export interface FakeClock extends Disposable {
  /** How many timers are waiting. */
  readonly timers: number;

  /** How many timers, up to now, the process was told not to wait for. */
  readonly unrefTimers: number;

  /**
   * Lets time pass, and calls what is due. The event loop turns meanwhile.
   *
   * @param ms How long, in milliseconds.
   */
  pass(ms: number): Promise<void>;

  /**
   * Lets time pass as {@linkcode FakeClock.pass} does, within one turn of the event
   * loop.
   *
   * @param ms How long, in milliseconds.
   */
  passAtOnce(ms: number): void;

  /**
   * Lets time pass while this process is stopped: what was due meanwhile comes after.
   *
   * @param ms How long, in milliseconds.
   */
  holdUp(ms: number): void;
}

/**
 * Stops the clock: timers, `performance.now()` and `Date`. Sockets and Node's
 * `setImmediate` go on. A thread that sleeps (`Atomics.wait`) lets time pass.
 *
 * @returns The clock; disposing of it brings the real one back.
 */
export function stopClock(): FakeClock {
  // Before Deno 2.9 the package would bring back those of Node instead.
  const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
  // Only a real timer keeps the event loop alive, and with it a test that awaits what a
  // timer that is stopped here, or a socket that was unref'd, will settle.
  const alive = stayAlive();
  const clock = FakeTimers.install({
    toFake: [
      "setTimeout",
      "clearTimeout",
      "setInterval",
      "clearInterval",
      "Date",
      "performance",
    ],
  });
  const sleeping = replace(Atomics, "wait", (_array, _index, _value, ms) => {
    clock.tick(ms ?? 0);
    return "timed-out";
  });
  // To the runtime the number of one of these timers is none, or another timer's.
  const { unrefTimer } = Deno;
  let unrefTimers = 0;
  Deno.unrefTimer = () => void unrefTimers++;
  return {
    get timers() {
      return clock.countTimers();
    },
    get unrefTimers() {
      return unrefTimers;
    },
    async pass(ms) {
      await clock.tickAsync(ms);
    },
    passAtOnce(ms) {
      clock.tick(ms);
    },
    holdUp(ms) {
      clock.jump(ms);
    },
    [Symbol.dispose]() {
      clock.uninstall();
      alive[Symbol.dispose]();
      sleeping[Symbol.dispose]();
      Object.assign(globalThis, {
        ...{ setTimeout, clearTimeout },
        ...{ setInterval, clearInterval },
      });
      Deno.unrefTimer = unrefTimer;
    },
  };
}

// As they are before a test stops the clock.
const { setInterval: startReal, clearInterval: stopReal } = globalThis;

/** Keeps the event loop alive, and with it a test whose sockets are unref'd. */
export function stayAlive(): Disposable {
  const timer = startReal(() => {}, 1000);
  return { [Symbol.dispose]: () => stopReal(timer) };
}
