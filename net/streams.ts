/**
 * Streams of bytes, in the shape that Deno's files and connections have.
 *
 * @module
 */

/** A source of bytes: `Deno.stdin`, a `Deno.FsFile`, a `Deno.Conn`. */
export interface Reader {
  /**
   * Reads up to `p.length` bytes into `p`.
   *
   * @param p The buffer that is filled from its start.
   * @returns How many bytes were read, or `null` at the end of the stream.
   */
  read(p: Uint8Array): Promise<number | null>;
}

/** A destination of bytes: `Deno.stdout`, a `Deno.FsFile`, a `Deno.Conn`. */
export interface Writer {
  /**
   * Writes bytes from the start of `p`.
   *
   * @param p The bytes.
   * @returns How many bytes were written, which may be fewer than `p.length`.
   */
  write(p: Uint8Array): Promise<number>;
}

/**
 * Writes all bytes, in as many writes as that takes.
 *
 * @param writer The destination.
 * @param bytes The bytes.
 * @throws What `writer.write()` throws.
 */
export async function writeAll(
  writer: Writer,
  bytes: Uint8Array,
): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const rest = written === 0 ? bytes : bytes.subarray(written);
    written += await writer.write(rest);
  }
}
