/** How many bytes at the beginning of a datagram tell it from others. */
const TELLING_BYTES = 64;

/**
 * The factors of two hashes in the manner of
 * {@link http://www.isthe.com/chongo/tech/comp/fnv/ | FNV-1a}, of 32 bits each: its
 * own, and that of MurmurHash3's second step.
 */
const FACTORS = [0x01000193, 0x85ebca6b] as const;

/**
 * Computes a number that tells a datagram from others: by its length and by its
 * first 64 bytes, where messages of this project have their number.
 */
export function fingerprint(datagram: Uint8Array): number {
  const { length } = datagram;
  let [low, high] = [length + 1, ~length];
  const end = Math.min(length, TELLING_BYTES);
  for (let at = 0; at < end; at++) {
    const byte = datagram[at]!;
    low = Math.imul(low ^ byte, FACTORS[0]);
    high = Math.imul(high ^ byte, FACTORS[1]);
    // Multiplying moves bits upwards alone.
    high ^= high >>> 15;
  }
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
}
