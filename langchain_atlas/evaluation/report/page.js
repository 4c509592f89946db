"use strict";
// The words, the table, and the slider that moves everything.

const content = JSON.parse(document.getElementById("content").textContent);
const state = { router: 0, at: content.routers[0].start };
const find = (id) => document.getElementById(id);

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const points = (value) => `${Math.abs(100 * value).toFixed(1)} ${Math.abs(100 * value).toFixed(1) === "1.0" ? "point" : "points"}`;
const signed = (value) => `${value >= 0 ? "+" : "−"}${Math.abs(100 * value).toFixed(1)}`;
const ratio = (value) => (value < 10 ? `${(100 * value).toFixed(0)}%` : `${value.toFixed(0)} times`);

function barName() {
  const { pairs } = content.baselines[content.bar];
  return pairs.length > 1 ? `${pairs[0]} (${pairs[1]} where it is not recorded)` : pairs[0];
}

function headline(router, step) {
  const bar = content.baselines[content.bar];
  const target = find("headline");
  const bold = (text) => element("b", text);
  target.replaceChildren();
  target.append("The router ", bold(router.label), router.knob ? `, with ${step.label},` : "", " answers ", bold(percent(step.accuracy)),
    ` of ${content.n_queries.toLocaleString("en")} queries right`, step.cost === null ? "." : ` for ${priced(step)}.`,
    " The best single pair in hindsight, ", bold(barName()), `, answers ${percent(bar.accuracy)}`, bar.cost === null ? "." : ` for ${priced(bar, "")}.`);
  const [low, high] = step.gain_interval;
  const verdict = low > 0 ? `is ${points(step.gain)} more accurate` : high < 0 ? `is ${points(step.gain)} less accurate` : `can’t be told apart from it: it differs by ${signed(step.gain)} points`;
  target.append(` So routing ${verdict} (95% interval ${signed(low)} to ${signed(high)})`,
    step.cost_ratio === null ? "." : `, at ${ratio(step.cost_ratio)} of its cost.`);
  find("warning").textContent = router.warning || "";
  find("warning").hidden = !router.warning;
}

function figures(step) {
  const cells = [
    ["Accuracy", percent(step.accuracy), `${percent(step.interval[0])} to ${percent(step.interval[1])}`],
    ["Against the best single pair", `${signed(step.gain)}`, `points, ${signed(step.gain_interval[0])} to ${signed(step.gain_interval[1])}`],
    ["Cost per 1000", step.cost === null ? "unknown" : step.cost_known < 1 ? `≥ ${dollars(step.cost * step.cost_known)}` : dollars(step.cost), step.cost_known < 1 && step.cost !== null ? `the cost of ${percent(1 - step.cost_known, 0)} is unknown` : step.cost_ratio === null ? "" : `${ratio(step.cost_ratio)} of the single pair’s`],
    step.latency === null ? ["Calls per query", step.calls.toFixed(2), ""] : ["Time per query", `${Number(step.latency.toPrecision(2))} s`, `${step.calls.toFixed(2)} calls`],
  ];
  find("figures").replaceChildren(...cells.map(([name, value, more]) => {
    const cell = element("div", null);
    const number = element("dd", value);
    number.append(element("small", more));
    cell.append(element("dt", name), number);
    return cell;
  }));
}

function interval(entry) {
  const cell = element("td", null);
  const [low, high] = entry.interval || [entry.success, entry.success];
  cell.append(`${percent(entry.success, 0)}`, entry.interval ? ` (${percent(low, 0)} to ${percent(high, 0)})` : "");
  const line = element("span", null, { class: "interval" });
  line.append(element("i", null, { style: `left:${100 * low}%;width:${100 * (high - low)}%` }), element("b", null, { style: `left:${100 * entry.success}%` }));
  cell.append(line);
  return cell;
}

let asked = [];
function clusterTable(router, at) {
  const best = router.clusters.best[at];
  const open = new Set([...document.querySelectorAll("#clusters details[open]")].map((item) => item.dataset.cluster));
  const rows = router.clusters.clusters.map((cluster, number) => {
    const entry = best[number];
    const row = element("tr", null);
    const name = element("td", null);
    name.append(element("span", null, { class: "swatch", style: `background:${colour(number)}` }), `${number} `, element("b", cluster.label));
    const others = cluster.domains.filter(([, share]) => share >= 0.05).map(([domain, share]) => `${domain} ${percent(share, 0)}`);
    name.append(element("span", others.join(", "), { class: "mix" }));
    if (cluster.samples && cluster.samples.length) {
      const samples = element("details", null, { "data-cluster": String(number) });
      samples.open = open.has(String(number));
      samples.append(element("summary", "sample queries"), ...cluster.samples.map((text) => element("p", text)));
      name.append(samples);
    }
    const pair = element("td", null, { class: asked.length && asked[number] !== entry.pair ? "pair moved" : "pair" });
    const [model, tool] = content.pairs[entry.pair].name.split("@@");
    pair.append(model, element("span", ` @@${tool}`));
    row.append(name, element("td", String(cluster.here), { class: "number" }), pair, interval(entry),
      element("td", entry.evidence === null ? "?" : String(entry.evidence), { class: "number" }),
      element("td", entry.cost === null ? "unknown" : dollars(entry.cost).slice(1), { class: "number" }));
    return row;
  });
  asked = best.map((entry) => entry.pair);
  document.querySelector("#clusters tbody").replaceChildren(...rows);
}

function show(whole) {
  const router = content.routers[state.router];
  const step = router.steps[state.at];
  const root = document.documentElement.dataset;
  Object.assign(root, { at: step.value === null ? step.label : String(step.value), accuracy: String(step.accuracy), pairs: router.clusters ? router.clusters.best[state.at].map((entry) => entry.pair).join(" ") : "" });
  headline(router, step);
  figures(step);
  find("knob").value = String(state.at);
  find("knob").setAttribute("aria-valuetext", step.label);
  find("knob-value").textContent = router.knob === "value" ? step.label : router.knob ? step.value.toFixed(2) : "";
  const now = find("now");
  now.replaceChildren(element("b", percent(step.accuracy)), step.cost === null ? " right" : ` right at ${priced(step)}`);
  const anyPriced = content.pairs.some((pair) => pair.cost_usd_per_1k > 0);
  find("frontier-section").hidden = !anyPriced; // its axis is logarithmic: where all is free or unknown it shows nothing
  if (anyPriced) frontier(content, router, state.at);
  shares(content, router, state.at);
  domains(content, router, state.at);
  const clustered = router.clusters !== null;
  find("clusters-section").hidden = find("heat-section").hidden = !clustered;
  if (clustered) {
    clusterTable(router, state.at);
    heat(content, router, state.at);
    find("map").hidden = find("map-caption").hidden = !router.clusters.map;
    if (whole && router.clusters.map) clusterMap(content, router);
  }
  const several = router.steps.some((each) => each.calls_share.length > 2);
  find("calls-section").hidden = !several;
  if (several) calls(router, state.at);
}

function choose(number) {
  state.router = number;
  const router = content.routers[number];
  state.at = router.start;
  asked = [];
  find("knob").max = String(router.steps.length - 1);
  for (const part of document.querySelectorAll(".knob, .track")) part.hidden = router.knob === null;
  find("knob-name").textContent = router.knob === "value" ? "" : router.knob || "";
  [...find("choice").children].forEach((button, place) => button.setAttribute("aria-pressed", String(place === number)));
  show(true);
}

/** Follow the part of the address after "#": cost_weight=0.8 or value=0.05 sets the slider, router=1 chooses the second router. */
function follow() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const number = Number(wanted.get("router") || 0);
  choose(content.routers[number] ? number : 0);
  const router = content.routers[state.router];
  const name = wanted.has(router.knob) ? router.knob : "alpha"; // another name of the cost weight
  if (router.knob === null || !wanted.has(name) || (name === "alpha" && router.knob !== "cost_weight")) return;
  const value = Number(wanted.get(name));
  const scale = router.knob === "value" ? Math.log : (number) => number;
  const apart = router.steps.map((step) => (step.value === null ? Infinity : Math.abs(scale(step.value) - scale(value))));
  state.at = apart.indexOf(Math.min(...apart));
  show(false);
}

function begin() {
  find("source").textContent = content.source;
  find("bar-name").textContent = `the best single pair in hindsight, ${barName()}`;
  if (content.routers.length > 1) {
    find("choice").append(...content.routers.map((router, number) => {
      const button = element("button", router.label, { type: "button", title: router.name });
      button.addEventListener("click", () => choose(number));
      return button;
    }));
  }
  const unsaid = content.routers.some((router) => router.n_fitted_on === null);
  const notes = [
    `Replayed on ${content.n_queries.toLocaleString("en")} queries and ${content.n_outcomes.toLocaleString("en")} recorded outcomes of ${content.pairs.length} pairs.`
      + (unsaid ? " If a router that does not say so was fitted on these rows, its figures here flatter it: draw the report on rows that it has not seen." : ""),
    "The best single pair is picked in hindsight on these very rows, which favours it. The oracle asks the cheapest pair that is right; nobody can do that live.",
    "Intervals are 95%, from a bootstrap over queries. Those in the table of clusters are the router’s own, from what it was fitted on.",
    ...content.notes,
  ];
  find("notes").replaceChildren(...notes.map((note) => element("li", note)));
  find("knob").addEventListener("input", () => { state.at = Number(find("knob").value); show(false); });
  window.addEventListener("hashchange", follow);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(true));
  follow();
  document.documentElement.dataset.ready = "true";
}

begin();
