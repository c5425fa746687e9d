/** The address that both ends use unless told otherwise. */
export const DEFAULT_HOSTNAME = "127.0.0.1";

/** The port that both ends use unless told otherwise. */
export const DEFAULT_PORT = 12345;
