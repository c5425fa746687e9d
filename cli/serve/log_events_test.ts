import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Address } from "../../net/address.ts";
import { networkError } from "../../net/errors.ts";
import type {
  CloseEvent,
  DatagramStats,
  DropReason,
  FaultEvent,
} from "../../server.ts";
import type { LogEvent } from "./log_events.ts";
import { renderJson } from "./log_json.ts";
import { renderText } from "./log_text.ts";

const REMOTE: Deno.NetAddr = { transport: "tcp", hostname: "::1", port: 50712 };
const UDP_REMOTE: Deno.NetAddr = { ...REMOTE, transport: "udp" };
const UDP_AT = { remote: "[::1]:50712", transport: "udp" };
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

const LAST: CloseEvent = { ...CLOSE, remote: UDP_REMOTE, datagrams: 2 };
const LAST_TEXT = "Last datagram from [::1]:50712/udp: 2 datagrams, " +
  "1.5 KiB echoed in 1.2 ms";
const LAST_JSON = { ...CLOSE_JSON, ...UDP_AT, datagrams: 2 };
const NOT_RECEIVED = networkError(
  "receive",
  { ...LISTENING, transport: "udp" },
  new Error("No buffer space available (os error 105)"),
);
const NO_ANSWER = "No answer to a datagram from [::1]:50712/udp: ";

/** Makes the case of a datagram that is not answered. */
function dropCase(reason: DropReason, words: string, detail?: string): Case {
  return [
    {
      ...{ type: "drop", remote: UDP_REMOTE, reason },
      ...(detail !== undefined && { detail }),
    },
    NO_ANSWER + words,
    {
      ...{ event: "drop", ...UDP_AT, reason },
      ...(detail !== undefined && { error: detail }),
    },
  ];
}

/** Makes the case of the end of a server that took datagrams. */
function stoppedCase(udp: DatagramStats, text: string): Case {
  const { datagrams, dropped } = udp;
  return [
    {
      ...{ type: "stopped", durationMs: 64_000 },
      stats: { accepted: 1, open: 0, closed: {}, bytes: 2048, udp },
    },
    text,
    {
      ...{ event: "stopped", connections: 1, bytes: 2048, duration_ms: 64_000 },
      ...{ datagrams, dropped },
    },
  ];
}

type Case = [event: LogEvent, text: string, json: Record<string, unknown>];

/** Faults, and what is said of each. */
const FAULTS: [fields: Omit<FaultEvent, "type" | "remote">, words: string][] = [
  [{ kind: "corrupt", offset: 17 }, "corrupted byte 17 of"],
  [{ kind: "corrupt", offset: 128_534 }, "corrupted byte 128,534 of"],
  [
    { kind: "slice", offset: 16_384 },
    "sent the reply at byte 16,384 in pieces to",
  ],
  [{ kind: "corrupt", offset: 0 }, "corrupted byte 0 of"],
  [
    { kind: "latency", offset: 0, delayMs: 52.34567 },
    "delayed the reply at byte 0 by 52 ms to",
  ],
  [{ kind: "latency", delayMs: 52.34567 }, "delayed a reply by 52 ms to"],
  [{ kind: "latency" }, "delays all replies to"],
  [{ kind: "rate" }, "limits the rate of"],
  [{ kind: "slice" }, "sends all replies in pieces to"],
  [{ kind: "slice", offset: 64 }, "sent the reply at byte 64 in pieces to"],
  [{ kind: "stall" }, "never answers"],
  [{ kind: "cut", offset: 0 }, "cut after 0 bytes of"],
  [{ kind: "cut", offset: 10_240 }, "cut after 10,240 bytes of"],
  [{ kind: "loss" }, "lost a reply to"],
  [{ kind: "duplicate" }, "sent a reply twice to"],
  [{ kind: "reorder" }, "sent a reply after the next one to"],
];

const EVENTS: Case[] = [
  [
    { type: "listening", addr: { ...REMOTE, port: 7 }, udp: false },
    "Server listening on [::1]:7...",
    { event: "listening", address: "[::1]:7", transports: ["tcp"] },
  ],
  [
    {
      ...{ type: "listening", addr: { ...REMOTE, port: 7 }, udp: true },
      faults: { text: "latency=50ms:10%, cut", seed: 17 },
    },
    "Server listening on [::1]:7, over TCP and UDP, " +
    "with faults: latency=50ms:10%, cut, seed 17...",
    {
      ...{ event: "listening", address: "[::1]:7", transports: ["tcp", "udp"] },
      ...{ faults: "latency=50ms:10%, cut", fault_seed: 17 },
    },
  ],
  [
    {
      ...{ type: "listening", addr: { ...REMOTE, port: 7 }, udp: true },
      faults: {
        text: "latency=5ms, stall",
        seed: 17,
        ofConnections: ["stall"],
      },
    },
    "Server listening on [::1]:7, over TCP and UDP, " +
    "with faults: latency=5ms, stall, seed 17 " +
    "(stall is for connections: datagrams are echoed without it)...",
    {
      ...{ event: "listening", address: "[::1]:7", transports: ["tcp", "udp"] },
      ...{ faults: "latency=5ms, stall", fault_seed: 17 },
      faults_of_connections: ["stall"],
    },
  ],
  [
    {
      ...{ type: "listening", addr: { ...REMOTE, port: 7 }, udp: true },
      faults: { text: "rate=5, cut", seed: 1, ofConnections: ["rate", "cut"] },
    },
    "Server listening on [::1]:7, over TCP and UDP, " +
    "with faults: rate=5, cut, seed 1 " +
    "(rate, cut are for connections: datagrams are echoed without them)...",
    {
      ...{ event: "listening", address: "[::1]:7", transports: ["tcp", "udp"] },
      ...{ faults: "rate=5, cut", fault_seed: 1 },
      faults_of_connections: ["rate", "cut"],
    },
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
    { ...CLOSE, reason: "cut" },
    `${CLOSED} (cut)`,
    { ...CLOSE_JSON, reason: "cut" },
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
    { type: "shutdown", open: 0, waiting: 1, drainTimeoutMs: 3000 },
    "Shutting down: 1 datagram reply held back, waiting up to 3s " +
    "(Ctrl-C again to stop now)",
    { event: "shutdown", connections: 0, replies: 1 },
  ],
  [
    { type: "shutdown", open: 2, waiting: 1234, drainTimeoutMs: 0 },
    "Shutting down: 2 connections open, 1,234 datagram replies held back, " +
    "closing now",
    { event: "shutdown", connections: 2, replies: 1234 },
  ],
  [
    { type: "shutdown", open: 1, drainTimeoutMs: 90_000 },
    "Shutting down: 1 connection open, waiting up to 1m 30s " +
    "(Ctrl-C again to stop now)",
    { event: "shutdown", connections: 1 },
  ],
  [
    { type: "left_silent", connections: 1234, remote: REMOTE },
    "1,234 connections opened and closed without a byte, " +
    "the last from [::1]:50712",
    {
      ...{ event: "left_silent", connections: 1234 },
      ...{ remote: "[::1]:50712", transport: "tcp" },
    },
  ],
  [
    {
      ...{ type: "listening", addr: { ...REMOTE, port: 7 }, udp: false },
      faults: { text: "", seed: 17 },
    },
    "Server listening on [::1]:7, with faults: none, seed 17...",
    {
      ...{ event: "listening", address: "[::1]:7", transports: ["tcp"] },
      ...{ faults: "", fault_seed: 17 },
    },
  ],
  [
    { type: "left_out", lines: 1234 },
    "1,234 lines left out: " +
    "the reader of this log is too slow, or its disk is full",
    { event: "left_out", lines: 1234 },
  ],
  ...FAULTS.map(([fields, words]): Case => [
    { type: "fault", remote: REMOTE, ...fields },
    `Fault: ${words} [::1]:50712`,
    {
      ...{
        event: "fault",
        kind: fields.kind,
        remote: "[::1]:50712",
        transport: "tcp",
      },
      ...("offset" in fields && { offset: fields.offset }),
      ...("delayMs" in fields && { delay_ms: 52.346 }),
    },
  ]),
  [
    {
      ...{ type: "stopped", durationMs: 5 },
      stats: {
        ...{ accepted: 3, closed: {} },
        open: 0,
        bytes: 5,
        faults: { corrupt: 1200, cut: 3 },
      },
    },
    "Served 3 connections, echoed 5 B in 5.0 ms, faults: 1,200 corrupt, 3 cut",
    {
      ...{ event: "stopped", connections: 3, bytes: 5, duration_ms: 5 },
      faults: { corrupt: 1200, cut: 3 },
    },
  ],
  [
    {
      ...{ type: "stopped", durationMs: 5 },
      stats: { accepted: 0, open: 0, closed: {}, bytes: 0, faults: {} },
    },
    "Served 0 connections, echoed 0 B in 5.0 ms, faults: none",
    {
      ...{ event: "stopped", connections: 0, bytes: 0, duration_ms: 5 },
      faults: {},
    },
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
  [
    { type: "listening", addr: { ...REMOTE, port: 7 }, udp: true },
    "Server listening on [::1]:7, over TCP and UDP...",
    { event: "listening", address: "[::1]:7", transports: ["tcp", "udp"] },
  ],
  [
    { type: "open", remote: UDP_REMOTE },
    "First datagram from [::1]:50712/udp",
    { event: "open", ...UDP_AT },
  ],
  [
    {
      ...{ type: "data", remote: UDP_REMOTE, bytes: 3, open: 2 },
      preview: new TextEncoder().encode("a\nb"),
    },
    "Received from [::1]:50712/udp: a\\nb",
    { event: "data", ...UDP_AT, bytes: 3, text: "a\\nb" },
  ],
  [
    {
      ...{ type: "data", remote: UDP_REMOTE, bytes: 0, open: 1 },
      preview: new Uint8Array(),
    },
    "Received: ",
    { event: "data", ...UDP_AT, bytes: 0, text: "" },
  ],
  [
    { ...LAST, reason: "idle" },
    `${LAST_TEXT} (idle)`,
    { ...LAST_JSON, reason: "idle" },
  ],
  [
    { ...LAST, datagrams: 1, bytes: 0, durationMs: 0, reason: "shutdown" },
    "Last datagram from [::1]:50712/udp: 1 datagram, " +
    "0 B echoed in 0.00 ms (shutdown)",
    {
      ...{ ...LAST_JSON, datagrams: 1, bytes: 0, duration_ms: 0 },
      reason: "shutdown",
    },
  ],
  [
    { type: "error", error: NOT_RECEIVED },
    "Cannot receive datagrams on [::]:7/udp: no buffer space available, " +
    "trying again",
    {
      event: "error",
      reason: "Cannot receive datagrams on [::]:7/udp: " +
        "no buffer space available",
    },
  ],
  dropCase(
    "port",
    "a port below 1024, port 2049 or the server's own may be forged",
  ),
  dropCase("address", "nobody sends from such an address"),
  dropCase("rate", "it sends more a second than --udp-rate allows"),
  dropCase(
    "loop",
    "it sends back what it was sent, as another echo server does, " +
      "more than 1,000 times a second; set --udp-rate if it does not",
  ),
  dropCase("shutdown", "the server stopped before the reply left"),
  dropCase("failed", "network unreachable", "network unreachable"),
  [
    { type: "crowd", addresses: 10_000 },
    "Datagrams from 10,000 senders: " +
    "further ones are answered without a line",
    { event: "crowd", addresses: 10_000 },
  ],
  stoppedCase(
    { datagrams: 1, bytes: 8, dropped: {} },
    "Served 1 connection and 1 datagram, echoed 2 KiB in 1m 4s",
  ),
  stoppedCase(
    { datagrams: 1234, bytes: 8, dropped: { rate: 5678, port: 1 } },
    "Served 1 connection and 1,234 datagrams, echoed 2 KiB in 1m 4s, " +
      "not answered: 5,678 rate, 1 port",
  ),
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
