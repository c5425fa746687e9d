/**
 * What both ends know of sockets for datagrams.
 *
 * @module
 */

/** More than any datagram has: what is longer than a buffer is cut off in silence. */
export const DATAGRAM_BUFFER_BYTES = 65_536;

/** The pause after a receive that failed, in milliseconds: it must not spin. */
export const RECEIVE_PAUSE_MS = 20;

/** Addresses of the machine itself, at which nobody else can send. */
export const LOOPBACK = /^127\.|^::1$/;
