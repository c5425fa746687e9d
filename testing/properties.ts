/**
 * Properties that hold for whatever is generated.
 *
 * The package is named here and not in deno.json, as only tests use it.
 *
 * @module
 */

export { default } from "npm:fast-check@4.10.2";
