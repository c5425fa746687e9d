/**
 * Properties that hold for whatever is generated.
 *
 * By its package's own name, not by one in deno.json: what is named there is a
 * part of the compiled executable.
 *
 * @module
 */

export { default } from "npm:fast-check@4.10.2";
