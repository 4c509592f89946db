"use strict";
// The picture at the head, and the flow of calls: drawn as SVG, anew for every width.

const SVG = "http://www.w3.org/2000/svg";
const CALLS = ["1st call", "2nd call", "3rd call", "4th call", "5th call", "6th call"];

function shape(name, attributes, text = null) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  if (text !== null) made.textContent = text;
  return made;
}

/** Shorten a text until it fits a width in pixels. */
function fitted(node, width) {
  const full = node.textContent;
  for (let length = full.length; length > 4 && node.getComputedTextLength() > width; length -= 1) node.textContent = `${full.slice(0, length - 1)}…`;
  if (node.textContent !== full) node.append(shape("title", {}, full));
}

function canvas(target, label) {
  const width = Math.max(240, Math.floor(target.clientWidth));
  const svg = shape("svg", { role: "img", "aria-label": label, width });
  target.replaceChildren(svg);
  return [svg, width];
}

/** Say how high a drawing is; where it has become too wide for its place, it is shown smaller until it is drawn anew. */
function finish(svg, height) {
  svg.setAttribute("height", height);
  svg.setAttribute("viewBox", `0 0 ${svg.getAttribute("width")} ${height}`);
}

/** Two quantities side by side, the router above the best single pair: how often right, and the cost. */
function picture(content, router, now) {
  const step = now.lead || now; // what held-out queries gave leads, where the others flatter
  const bar = now.lead ? now.lead.bar : content.baselines[content.bar];
  const [svg, width] = canvas(find("picture"), now.sentence);
  const beside = width >= 640 && step.cost !== null && bar.cost !== null;
  const panel = beside ? (width - 48) / 2 : width;
  const rows = (mine, other) => [[router.label, mine, ink("accent")], [bar.pairs[0], other, ink("mark")]];
  const right = rows(
    { value: step.accuracy, interval: step.interval, text: percent(step.accuracy) },
    { value: bar.accuracy, interval: bar.interval, text: percent(bar.accuracy) },
  );
  let height = bars(svg, 0, 0, panel, now.lead ? "Right answers, on held-out queries" : router.fair ? "Right answers" : "Right answers (flattered)", right, 1);
  if (step.cost !== null && bar.cost !== null) {
    const shown = (entry) => ({ value: entry.cost * entry.cost_known, interval: null, text: `${entry.cost_known < 1 ? "≥ " : ""}${money(content, entry.cost * entry.cost_known)}` });
    const costs = rows(shown(step), shown(bar));
    const most = Math.max(...costs.map(([, each]) => each.value), 1e-12);
    const end = bars(svg, beside ? panel + 48 : 0, beside ? 0 : height + 18, panel, `Dollars ${unit(content)}`, costs, most);
    height = Math.max(height, end);
  }
  finish(svg, height);
}

/** Draw one panel of bars, and return where it ends. */
function bars(svg, left, top, width, title, rows, most) {
  const room = 84; // for the number behind the longest bar
  svg.append(shape("text", { x: left, y: top + 13, class: "panel" }, title));
  rows.forEach(([name, each, shade], number) => {
    const y = top + 30 + number * 50;
    const label = shape("text", { x: left, y: y + 12, class: "row" }, name);
    svg.append(label);
    fitted(label, width);
    const long = Math.max(2, ((width - room) * each.value) / most);
    svg.append(shape("rect", { x: left, y: y + 19, width: long, height: 16, rx: 3, fill: shade }));
    let end = left + long;
    if (each.interval) {
      const [low, high] = each.interval.map((bound) => left + ((width - room) * bound) / most);
      svg.append(shape("path", { d: `M${low} ${y + 27}H${high}M${low} ${y + 22}v10M${high} ${y + 22}v10`, stroke: ink("ink"), "stroke-width": 1.5, fill: "none" }));
      end = Math.max(end, high);
    }
    svg.append(shape("text", { x: end + 8, y: y + 32, class: "value" }, each.text));
  });
  return top + 30 + rows.length * 50 - 8;
}

/** The calls of a router that calls more than once: a band for every call, ribbons from one to the next. */
function flow(content, router, at) {
  const drawn = router.steps[at].flow;
  const [svg, width] = canvas(find("flow"), "Whom the router calls first, whom next, and where it stops");
  const gutter = 62;
  const scale = (width - gutter - 2) / drawn.count;
  const high = 26;
  const apart = narrow() ? 46 : 62;
  const ranked = new Map();
  drawn.stages.flat().forEach(([pair, count]) => ranked.set(pair, (ranked.get(pair) || 0) + count));
  const order = [...ranked.keys()].sort((a, b) => ranked.get(b) - ranked.get(a)).filter((pair) => pair >= 0);
  const shade = (pair) => (pair < 0 ? ink("mark") : colour(order.indexOf(pair)));
  const bands = laid(drawn);
  bands.forEach((band, stage) => {
    const y = stage * (high + apart);
    for (const node of band) {
      for (const link of node.into) svg.append(shape("path", { d: ribbon(gutter + link.from * scale, gutter + link.to * scale, link.count * scale, y - apart, y), fill: shade(link.pair), opacity: node.stop === null ? 0.28 : 0.12 }));
    }
    for (const node of band) {
      const at = { x: gutter + node.x * scale, y, width: Math.max(0.6, node.count * scale - 1), height: node.stop === null ? high : 9, rx: 2 };
      svg.append(shape("rect", { ...at, fill: node.stop === null ? shade(node.pair) : ink("mark") }));
      const named = node.stop === null ? (node.pair < 0 ? "other pairs" : content.pairs[node.pair].name) : `stops: ${drawn.stops[node.stop][0]}`;
      svg.lastChild.append(shape("title", {}, `${named}: ${queries(node.count)} (${percent(node.count / drawn.count)})`));
    }
    if (stage < drawn.stages.length) svg.append(shape("text", { x: 0, y: y + 17, class: "row" }, CALLS[stage] || `call ${stage + 1}`));
    else svg.append(shape("text", { x: 0, y: y + 9, class: "row" }, "stop"));
  });
  finish(svg, (bands.length - 1) * (high + apart) + 14);
  find("flow-words").replaceChildren(...bands.map((band, stage) => stageWords(content, drawn, band, stage, shade)).filter(Boolean));
}

function ribbon(from, to, wide, top, bottom) {
  const middle = (top + bottom) / 2;
  return `M${from} ${top}C${from} ${middle} ${to} ${middle} ${to} ${bottom}H${to + wide}C${to + wide} ${middle} ${from + wide} ${middle} ${from + wide} ${top}Z`;
}

/** Lay out the bands: the pairs called, then the ends; ribbons leave a node in the order in which they arrive. */
function laid(drawn) {
  let above = [];
  const bands = [];
  for (let stage = 0; stage <= drawn.stages.length; stage += 1) {
    const calls = (drawn.stages[stage] || []).map(([pair, count], place) => ({ pair, count, stop: null, key: place }));
    const arriving = drawn.links.filter(([from]) => from === stage - 1);
    const ends = drawn.stops.map((_, number) => ({ pair: null, stop: number, key: -1 - number, count: arriving.filter(([, , to]) => to === -1 - number).reduce((sum, link) => sum + link[3], 0) })).filter((node) => node.count);
    const band = [...calls, ...ends];
    let x = 0;
    for (const node of band) {
      Object.assign(node, { x, leaves: x, into: [] });
      let to = x;
      above.forEach((source, place) => {
        const link = arriving.find(([, from, target]) => source.stop === null && from === place && target === node.key);
        if (!link) return;
        node.into.push({ from: source.leaves, to, count: link[3], pair: source.pair });
        source.leaves += link[3];
        to += link[3];
      });
      x += node.count;
    }
    if (band.length) bands.push(band);
    above = band;
  }
  return bands;
}

function stageWords(content, drawn, band, stage, shade) {
  const total = band.reduce((sum, node) => sum + node.count, 0);
  const box = element("div", null);
  box.append(element("h3", stage < drawn.stages.length ? `${CALLS[stage] || `Call ${stage + 1}`}` : "After the last call"));
  const list = element("ul", null);
  for (const node of band) {
    const line = element("li", null);
    line.append(element("span", null, { class: "swatch", style: `background:${node.stop === null ? shade(node.pair) : ink("mark")}` }));
    if (node.stop === null) line.append(node.pair < 0 ? "other pairs" : paired(content.pairs[node.pair].name));
    else line.append(element("i", `stops: ${drawn.stops[node.stop][0]}`));
    line.append(element("span", ` ${percent(node.count / drawn.count, 0)}, ${queries(node.count)}`, { class: "soft" }));
    list.append(line);
  }
  box.append(list);
  return total ? box : null;
}
