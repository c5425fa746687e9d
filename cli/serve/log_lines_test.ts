import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Address } from "../../net/address.ts";
import { networkError } from "../../net/errors.ts";
import type { CloseEvent } from "../../server.ts";
import { type LogEvent, renderJson, renderText } from "./log_lines.ts";

const REMOTE: Deno.NetAddr = { transport: "tcp", hostname: "::1", port: 50712 };
const LISTENING: Address = { transport: "tcp", hostname: "::", port: 7 };
const TIME = "2001-02-03T04:05:06.789Z";

const CLOSE: CloseEvent = {
  type: "close",
  remote: REMOTE,
  bytes: 1536,
  durationMs: 1.23456,
  reason: "eof",
};
const CLOSED = "Connection closed with [::1]:50712: 1.5 KiB echoed in 1.2 ms";
const CLOSE_JSON = {
  ...{ event: "close", remote: "[::1]:50712", transport: "tcp", bytes: 1536 },
  ...{ duration_ms: 1.235, reason: "eof" },
};
const RESET = new Deno.errors.ConnectionReset("x (os error 104)");
const FULL = networkError(
  "accept",
  LISTENING,
  new Error("Too many open files (os error 24)"),
);

type Case = [event: LogEvent, text: string, json: Record<string, unknown>];

const EVENTS: Case[] = [
  [
    { type: "listening", addr: { ...REMOTE, port: 7 }, udp: false },
    "Server listening on [::1]:7...",
    { event: "listening", address: "[::1]:7", transports: ["tcp"] },
  ],
  [
    { type: "open", remote: REMOTE },
    "Connection established with [::1]:50712",
    { event: "open", remote: "[::1]:50712", transport: "tcp" },
  ],
  [
    {
      ...{ type: "data", remote: REMOTE, bytes: 9, open: 1 },
      preview: new TextEncoder().encode("a\x1b[2J\n"),
    },
    "Received: a\\x1b[2J\\n",
    {
      ...{ event: "data", remote: "[::1]:50712", transport: "tcp", bytes: 9 },
      text: "a\\x1b[2J\\n",
    },
  ],
  [
    {
      ...{ type: "data", remote: REMOTE, bytes: 3, open: 2 },
      preview: new TextEncoder().encode("a\nb"),
    },
    "Received from [::1]:50712: a\\nb",
    {
      ...{ event: "data", remote: "[::1]:50712", transport: "tcp", bytes: 3 },
      text: "a\\nb",
    },
  ],
  [CLOSE, CLOSED, CLOSE_JSON],
  [
    { ...CLOSE, reason: "idle" },
    `${CLOSED} (idle)`,
    { ...CLOSE_JSON, reason: "idle" },
  ],
  [
    { ...CLOSE, reason: "reset", error: RESET },
    `${CLOSED} (connection reset by peer)`,
    { ...CLOSE_JSON, reason: "reset" },
  ],
  [
    { type: "error", error: FULL },
    "Cannot accept a connection on [::]:7: too many open files, trying again",
    {
      event: "error",
      reason: "Cannot accept a connection on [::]:7: too many open files",
    },
  ],
  [
    { type: "reset" },
    "A client broke its connection before it was accepted",
    { event: "reset" },
  ],
  [
    { type: "full", open: 1 },
    "1 connection open, as many as --max-connections allows: " +
    "further clients wait",
    { event: "full", connections: 1 },
  ],
  [
    { type: "full", open: 2000 },
    "2,000 connections open, as many as --max-connections allows: " +
    "further clients wait",
    { event: "full", connections: 2000 },
  ],
  [
    { type: "worker_died", worker: 3, reason: "out of memory" },
    "Worker 3 died: out of memory",
    { event: "worker_died", worker: 3, reason: "out of memory" },
  ],
  [
    { type: "shutdown", open: 0, drainTimeoutMs: 5000 },
    "Shutting down",
    { event: "shutdown", connections: 0 },
  ],
  [
    { type: "shutdown", open: 0, drainTimeoutMs: 0 },
    "Shutting down",
    { event: "shutdown", connections: 0 },
  ],
  [
    { type: "shutdown", open: 2, drainTimeoutMs: 0 },
    "Shutting down: 2 connections open, closing now",
    { event: "shutdown", connections: 2 },
  ],
  [
    { type: "shutdown", open: 1, drainTimeoutMs: 90_000 },
    "Shutting down: 1 connection open, waiting up to 1m 30s " +
    "(Ctrl-C again to stop now)",
    { event: "shutdown", connections: 1 },
  ],
  [
    { type: "left_out", lines: 1234 },
    "1,234 lines left out: " +
    "the reader of this log is too slow, or its disk is full",
    { event: "left_out", lines: 1234 },
  ],
  [
    {
      ...{ type: "stopped", durationMs: 64_000.0004 },
      stats: { accepted: 3, open: 0, closed: {}, bytes: 1_258_291 },
    },
    "Served 3 connections, echoed 1.2 MiB in 1m 4s",
    {
      ...{ event: "stopped", connections: 3, bytes: 1_258_291 },
      duration_ms: 64_000,
    },
  ],
];

describe("renderText()", () => {
  for (const [event, text] of EVENTS) {
    it(`says ${JSON.stringify(text)}`, () => {
      assertEquals(renderText(event), text);
    });
  }
});

describe("renderJson()", () => {
  for (const [event, , json] of EVENTS) {
    it(`tells ${JSON.stringify(json)}`, () => {
      const line = renderJson(event, new Date(TIME));
      assertEquals(JSON.parse(line), { time: TIME, ...json });
    });
  }
});
