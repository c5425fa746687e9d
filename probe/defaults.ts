// Apart from the probes, whose histogram takes long to load.

/** The time from one message of a ping to the next, in milliseconds. */
export const DEFAULT_INTERVAL_MS = 1000;

/** How many bytes a generated message has. */
export const DEFAULT_MESSAGE_BYTES = 64;

/** How many connections a load has. */
export const DEFAULT_CONNECTIONS = 1;

/** For how long a load sends messages, in milliseconds. */
export const DEFAULT_DURATION_MS = 10_000;
