/** A source of bytes: `Deno.stdin`, a `Deno.FsFile`, a `Deno.Conn`. */
export interface Reader {
  /** Reads up to `p.length` bytes into `p`; `null` is the end of the stream. */
  read(p: Uint8Array): Promise<number | null>;
}

/** A destination of bytes: `Deno.stdout`, a `Deno.FsFile`, a `Deno.Conn`. */
export interface Writer {
  /** Writes bytes from the start of `p`, maybe fewer than all. */
  write(p: Uint8Array): Promise<number>;
}

/** Writes all bytes, in as many writes as that takes. */
export async function writeAll(
  writer: Writer,
  bytes: Uint8Array,
): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const rest = written === 0 ? bytes : bytes.subarray(written);
    written += await writer.write(rest);
  }
}

/** Reads a web stream into buffers. */
export function readerOf(
  stream: ReadableStreamDefaultReader<Uint8Array>,
): Reader {
  let rest: Uint8Array = new Uint8Array();
  return {
    async read(p) {
      while (rest.length === 0) {
        const { done, value } = await stream.read();
        if (done) return null;
        if (!(value instanceof Uint8Array)) {
          throw new TypeError("Cannot send a chunk that is no Uint8Array");
        }
        rest = value;
      }
      const length = Math.min(p.length, rest.length);
      p.set(rest.subarray(0, length));
      rest = rest.subarray(length);
      return length;
    },
  };
}

/** Writes to a web stream copies of the bytes: it may keep what it is given. */
export function writerTo(
  stream: WritableStreamDefaultWriter<Uint8Array>,
): Writer {
  return {
    async write(p) {
      await stream.write(p.slice());
      return p.length;
    },
  };
}
