/** More than any datagram has: what is longer than a buffer is cut off in silence. */
const DATAGRAM_BUFFER_BYTES = 65_536;

/** The pause after a receive that failed, in milliseconds: it must not spin. */
export const RECEIVE_PAUSE_MS = 20;

/** Addresses of the machine itself, at which nobody else can send. */
export const LOOPBACK = /^127\.|^::1$/;

/** Opens a socket for datagrams. Deno's own words for a missing flag name no flag. */
export function bindUdp(
  at: { hostname: string; port: number },
): Deno.DatagramConn {
  if (Deno.listenDatagram) {
    return Deno.listenDatagram({ ...at, transport: "udp" });
  }
  throw new TypeError(
    'UDP needs Deno\'s flag --unstable-net, or "unstable": ["net"] in deno.json',
  );
}

/**
 * Makes a buffer that is long enough for any datagram. The pages of a resizable one
 * take memory only once they are written to, so a small datagram takes 4 KiB.
 */
export function datagramBuffer(): Uint8Array<ArrayBuffer> {
  const maxByteLength = DATAGRAM_BUFFER_BYTES;
  return new Uint8Array(new ArrayBuffer(maxByteLength, { maxByteLength }));
}
