/**
 * A connection's buffer, whose size follows what its reads bring.
 *
 * @module
 */

/**
 * The sizes of a buffer, in bytes. Ten thousand idle connections cost little with
 * the least one; a stream gains nothing from more than the most. Growing and
 * shrinking multiply and divide by the factor.
 */
export const BUFFER_BYTES = { least: 512, most: 512 * 1024, factor: 4 };

/**
 * A buffer shrinks after this many reads in a row that a smaller one would have
 * held. After fewer, a stream, whose reads vary in size, would have its buffer
 * shrink and grow all the time.
 */
const READS_BEFORE_SHRINKING = 32;

/** A buffer that grows when a read fills it, and shrinks when reads are small. */
export class EchoBuffer {
  /** The buffer; {@linkcode EchoBuffer.fit} may replace it. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(BUFFER_BYTES.least);

  /** How many reads in a row a smaller buffer would have held. */
  #smallReads = 0;

  /**
   * Chooses the size for the next read, when the bytes of the last one are no
   * longer needed.
   *
   * @param length How many bytes the last read brought.
   */
  fit(length: number): void {
    const size = this.bytes.length;
    const { least, most, factor } = BUFFER_BYTES;
    const isSmall = length < size / factor && size > least;
    this.#smallReads = isSmall ? this.#smallReads + 1 : 0;
    if (length === size && size < most) {
      this.bytes = new Uint8Array(size * factor);
    } else if (this.#smallReads === READS_BEFORE_SHRINKING) {
      this.bytes = new Uint8Array(size / factor);
      this.#smallReads = 0;
    }
  }
}
