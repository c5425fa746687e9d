import { sleep } from "../../net/time.ts";
import { printLine } from "../command.ts";
import { UsageError } from "../flags.ts";
import {
  formatCount,
  formatDuration,
  formatTime,
} from "../../report/format.ts";
import type { Terminal } from "../terminal.ts";

/** The clock on the wall may be set while it is waited for: a look a second. */
const LOOK_MS = 1000;

/** A load that begins so late is told, in milliseconds. */
const LATE_MS = 100;

/** Throws a {@linkcode UsageError} if the time at which a load begins is past. */
export function checkStart(start: Date, now: Date): void {
  const pastMs = now.getTime() - start.getTime();
  if (pastMs < 0) return;
  throw new UsageError(
    `--start-at ${start.toISOString()} was ${formatDuration(pastMs)} ago`,
  );
}

/** Waits until a time. If it is past already, that is told on stderr. */
export async function untilMoment(
  start: Date,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const leftMs = () => start.getTime() - terminal.now().getTime();
  const lateMs = -leftMs();
  if (lateMs >= LATE_MS && !signal.aborted) {
    await printLine(
      terminal.stderr,
      `echo: the load begins ${formatDuration(lateMs)} after --start-at: its ` +
        "connections were not open before",
    );
  }
  for (let ms; (ms = leftMs()) > 0 && !signal.aborted;) {
    await sleep(Math.min(ms, LOOK_MS), signal);
  }
}

/** Renders how long it is until a load begins. */
export function renderWaiting(
  { connections }: { readonly connections: number },
  start: Date,
  now: Date,
): string {
  const leftMs = Math.max(0, start.getTime() - now.getTime());
  const left = formatTime(Math.ceil(leftMs / 1000) * 1000);
  return `ready with ${formatCount(connections, "connection")}, ` +
    `the load begins in ${left}`;
}
