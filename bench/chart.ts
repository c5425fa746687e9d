/** Drawing contests: a panel of bars for each, two in a row. */

import { bestFirst, formatNumber, latencyOf, type Result } from "./report.ts";

const PANEL = { width: 430, rowHeight: 20, head: 34, foot: 18 };
const NAME_WIDTH = 80;
const VALUE_WIDTH = 140;
const MARGIN = 16;

/** Colors that can be read on a white page and on a black one. */
const COLORS = {
  ours: "#2f81f7",
  others: "#8b949e",
  spread: "#d29922",
  text: "#848d97",
};

/** Draws contests as SVG, with the best entrant of each on top, above a caption. */
export function chart(
  results: readonly Result[],
  caption: readonly string[],
  isOurs: (entrant: string) => boolean,
): string {
  const rows = Math.max(...results.map(({ samples }) => samples.size));
  const panelHeight = PANEL.head + rows * PANEL.rowHeight + PANEL.foot;
  const parts = results.flatMap((result, index) => {
    const left = MARGIN + (index % 2) * (PANEL.width + MARGIN);
    const top = MARGIN + Math.floor(index / 2) * panelHeight;
    return [
      `<g transform="translate(${left} ${top})">`,
      ...panel(result, isOurs),
      "</g>",
    ];
  });
  let height = MARGIN + Math.ceil(results.length / 2) * panelHeight;
  const legend = "A bar is a median, the line over its end the middle half.";
  for (const line of [...caption, legend]) {
    height += 14;
    parts.push(text(MARGIN, height, line, 'class="small"'));
  }
  const width = MARGIN + 2 * (PANEL.width + MARGIN);
  height += MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" ` +
    `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<style>
text { font: 12px system-ui, sans-serif; fill: ${COLORS.text}; }
.head { font-weight: bold; font-size: 14px; }
.small { font-size: 11px; }
.ours { font-weight: bold; fill: ${COLORS.ours}; }
</style>
${parts.join("\n")}
</svg>
`;
}

function* panel(
  result: Result,
  isOurs: (entrant: string) => boolean,
): Generator<string> {
  const { name, unit, lessIsBetter } = result.contest;
  const better = lessIsBetter ? "less is better" : "more is better";
  yield text(0, 14, `${name}: ${unit}, ${better}`, 'class="head"');
  const bars = bestFirst(result);
  const most = Math.max(...bars.map(([, { high }]) => high));
  const scale = (PANEL.width - NAME_WIDTH - VALUE_WIDTH) / most;
  const x = (value: number) => NAME_WIDTH + value * scale;
  let y = PANEL.head - 8;
  for (const [entrant, { low, median, high }] of bars) {
    const kind = isOurs(entrant) ? "ours" : "others";
    const middle = y + PANEL.rowHeight / 2;
    const anchor = `text-anchor="end" class="${kind}"`;
    yield text(NAME_WIDTH - 6, middle + 4, entrant, anchor);
    yield `<rect x="${NAME_WIDTH}" y="${y + 3}" fill="${COLORS[kind]}" ` +
      `width="${(median * scale).toFixed(1)}" height="14"/>`;
    yield `<line x1="${x(low).toFixed(1)}" x2="${x(high).toFixed(1)}" ` +
      `y1="${middle}" y2="${middle}" stroke="${COLORS.spread}" ` +
      'stroke-width="2"/>';
    const p99 = latencyOf(result.samples.get(entrant)!, "p99");
    const value = formatNumber(median) +
      (p99 === undefined ? "" : `, p99 ${formatNumber(p99)} ms`);
    yield text(x(high) + 6, middle + 4, value, `class="${kind}"`);
    y += PANEL.rowHeight;
  }
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;" };

function text(x: number, y: number, words: string, attributes: string): string {
  const escaped = words.replace(/[&<]/g, (char) => ENTITIES[char]!);
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped}</text>`;
}
