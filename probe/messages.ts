import { MismatchError } from "../client.ts";

/** What a probe sends each time: these bytes, or so many generated ones. */
export type ProbeMessage = Uint8Array | number;

/** The most digits of a connection's number, and of a message's. */
const DIGITS = { connection: 7, message: 12 };

/** What stands before the digits of a message's number. */
const HEAD =
  /^echo run ([\da-f]{8}) connection (\d{7}) message (\d{12})(?: ([\da-f]{5})\n)?$/;

/** How many bytes the numbers take, with a checksum and a line's end, or without. */
const HEAD_BYTES = { whole: 64, unchecked: 57 };

/**
 * Tells whether messages have the same bytes, so that nothing proves which reply is
 * whose.
 */
export function areAlike(message: ProbeMessage, sent: number): boolean {
  return typeof message !== "number" || sent >= 10 ** message;
}

/** Which of the connections of a run are made in this thread. */
export interface MessagesPart {
  /** The number that tells the run from others: 32 bits. */
  readonly run: number;
  /** Which of the threads this is, from 0. */
  readonly index: number;
  /** How many threads there are. */
  readonly count: number;
}

/** The messages of a run. */
export class Messages {
  readonly #message: ProbeMessage;
  /** Tells this run from others, for example `1a2b3c4d`. */
  readonly #run: string;
  readonly #part: Pick<MessagesPart, "index" | "count">;
  /** What follows the numbers: random, so that nothing on the way compresses it. */
  readonly #body: Uint8Array<ArrayBuffer>;
  #connections = 0;

  /** Prepares messages. */
  constructor(message: ProbeMessage, part: MessagesPart = wholeRun()) {
    this.#message = message;
    this.#run = hex(part.run, 8);
    this.#part = part;
    const bodyBytes = typeof message === "number"
      ? Math.max(0, message - HEAD_BYTES.whole)
      : 0;
    this.#body = new Uint8Array(bodyBytes);
    for (let at = 0; at < bodyBytes; at += 65_536) {
      crypto.getRandomValues(this.#body.subarray(at, at + 65_536));
    }
  }

  /** How many bytes each message has. */
  get bytes(): number {
    return typeof this.#message === "number"
      ? this.#message
      : this.#message.length;
  }

  /** Makes the messages of one more connection. */
  forNextConnection(): ConnectionMessages {
    if (typeof this.#message !== "number") {
      return new GivenMessages(this.#message);
    }
    // The threads take turns in numbers, so that no two have the same one.
    const { index, count } = this.#part;
    const number = index + 1 + count * this.#connections++;
    const connection = number % 10 ** DIGITS.connection;
    const size = this.#message;
    return new NumberedMessages(this.#run, connection, size, this.#body);
  }
}

/** Draws the number of a run. */
export function drawRun(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

function wholeRun(): MessagesPart {
  return { run: drawRun(), index: 0, count: 1 };
}

/** The messages of one connection. */
export interface ConnectionMessages {
  /** Takes a message. */
  take(number: number): Uint8Array;

  /** Gives a message that came back to a later `take()`. */
  giveBack(message: Uint8Array): void;

  /** Tells whose reply it is that came in place of a message's own. */
  explain(error: unknown, number?: number): string | undefined;

  /** Tells which message a reply is to. */
  numberOf(reply: Uint8Array): number | undefined;
}

/** The user's own message, as it is. A reply to another one looks the same. */
class GivenMessages implements ConnectionMessages {
  readonly #message: Uint8Array;

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  take(): Uint8Array {
    return this.#message;
  }

  giveBack(): void {}

  explain(): undefined {}

  numberOf(): undefined {}
}

/**
 * Generated messages. Each begins with a line of text, which a person can read in
 * the log of a server or in a packet dump:
 *
 *     echo run 1a2b3c4d connection 0000001 message 000000000012 0c5f3
 *
 * The last number is a checksum: a damaged message must not look like another one.
 * A message of fewer bytes has the last ones of this line, without the checksum.
 */
class NumberedMessages implements ConnectionMessages {
  readonly #run: string;
  readonly #connection: number;
  readonly #seed: number;
  readonly #size: number;
  readonly #body: Uint8Array;
  /** The number of the last message that was taken. */
  #last = 0;
  /** Messages that came back. */
  readonly #free: Uint8Array[] = [];

  constructor(
    run: string,
    connection: number,
    size: number,
    body: Uint8Array,
  ) {
    this.#run = run;
    this.#connection = connection;
    this.#seed = seedOf(run, connection);
    this.#size = size;
    this.#body = body;
  }

  take(number: number): Uint8Array {
    this.#last = number;
    const message = this.#free.pop() ?? this.#make();
    const isChecked = this.#size >= HEAD_BYTES.whole;
    let at = isChecked ? HEAD_BYTES.unchecked : message.length;
    // The digits before those of a greater number stay what they are: zeros.
    for (let rest = number; rest > 0 && at > 0; rest = Math.floor(rest / 10)) {
      message[--at] = 0x30 + rest % 10;
    }
    if (!isChecked) return message;
    let check = checksum(this.#seed, number);
    for (let at = HEAD_BYTES.whole - 2; at > HEAD_BYTES.unchecked; at--) {
      message[at] = HEX_DIGITS[check & 15]!;
      check >>>= 4;
    }
    return message;
  }

  giveBack(message: Uint8Array): void {
    this.#free.push(message);
  }

  explain(error: unknown, number: number = this.#last): string | undefined {
    if (!(error instanceof MismatchError)) return undefined;
    const read = this.#read(error.reply, number);
    if (!read) return undefined;
    const { run, connection, number: other } = read;
    if (run !== this.#run) return "the reply to another run's message came";
    if (connection !== this.#connection) {
      return `the reply to message ${other} of connection ${connection} came`;
    }
    if (other === number) {
      return error.sent === undefined
        ? `the reply to message ${other} came again`
        : undefined;
    }
    return other < number
      ? `the reply to message ${other} came again`
      : `the reply to message ${other} came in place of that to ${number}`;
  }

  numberOf(reply: Uint8Array): number | undefined {
    const read = this.#read(reply, this.#last);
    if (read?.run !== this.#run || read.connection !== this.#connection) {
      return undefined;
    }
    return read.number <= this.#last ? read.number : undefined;
  }

  /** Reads what stands at the beginning of a reply, if it is undamaged. */
  #read(reply: Uint8Array, latest: number) {
    const length = Math.min(this.#size, HEAD_BYTES.whole);
    if (reply.length < length) return undefined;
    const came = String.fromCharCode(...reply.subarray(0, length));
    // A short message has the end of a line: the rest is as it must be.
    const rest = this.#line(latest).slice(0, -length);
    const isWhole = this.#size >= HEAD_BYTES.whole;
    const [, run, connection, digits, check] =
      (isWhole ? came : (rest + came).trimStart()).match(HEAD) ?? [];
    if (run === undefined) return undefined;
    let number = Number(digits);
    if (length < DIGITS.message && number > latest) number -= 10 ** length;
    if (number < 1) return undefined;
    const seed = seedOf(run, Number(connection));
    if (isWhole && check !== hex(checksum(seed, number), 5)) return undefined;
    return { run, connection: Number(connection), number };
  }

  #make(): Uint8Array {
    const message = new Uint8Array(this.#size);
    const line = new TextEncoder().encode(this.#line(0));
    message.set(line.subarray(Math.max(0, line.length - this.#size)));
    if (this.#body.length > 0) message.set(this.#body, line.length);
    return message;
  }

  /** The line of a message: whole with its end, or indented without a checksum. */
  #line(number: number): string {
    const connection = `${this.#connection}`.padStart(DIGITS.connection, "0");
    const digits = `${number}`.padStart(DIGITS.message, "0");
    const line = `echo run ${this.#run} connection ${connection} ` +
      `message ${digits}`;
    return this.#size < HEAD_BYTES.whole
      ? line.padStart(HEAD_BYTES.whole)
      : `${line} ${hex(checksum(this.#seed, number), 5)}\n`;
  }
}

const HEX_DIGITS = new TextEncoder().encode("0123456789abcdef");

/** Mixes a run's and a connection's number (the constant is of MurmurHash3). */
function seedOf(run: string, connection: number): number {
  return Number(`0x${run}`) ^ Math.imul(connection, 0x85ebca6b);
}

/** Mixes numbers into 20 bits (the constant is Knuth's, of the golden ratio). */
function checksum(seed: number, number: number): number {
  return Math.imul(seed ^ number, 0x9e3779b1) >>> 12;
}

function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, "0");
}
