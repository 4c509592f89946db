"use strict";
// Numbers in words, and the parts of the page that are words alone.

const find = (id) => document.getElementById(id);
const percent = (value, digits = 1) => (value === null ? "?" : `${(100 * value).toFixed(digits)}%`);
const whole = (value) => value.toLocaleString("en");
const signed = (value) => { if (value === null) return "?"; const shown = Math.abs(100 * value).toFixed(1); return shown === "0.0" ? shown : `${value > 0 ? "+" : "−"}${shown}`; };
const ratio = (value) => (value < 10 ? `${(100 * value).toFixed(0)}%` : `${value.toFixed(0)} times`);
const dollars = (value) => (value === null ? "unknown cost" : value >= 100 ? `$${whole(Math.round(value))}` : value >= 1 ? `$${value.toFixed(2)}` : `$${Number(value.toPrecision(3))}`);
const queries = (count) => `${whole(count)} ${count === 1 ? "query" : "queries"}`;

/** Dollars per 1000 queries, as dollars of the reader's volume where one was given. */
function money(content, cost) {
  return cost === null ? "unknown cost" : dollars(content.volume ? (cost * content.volume.queries) / 1000 : cost);
}
const unit = (content) => (content.volume ? `a ${content.volume.period}` : "per 1000");

/** What something costs; a lower bound where some costs are unknown. */
function priced(content, entry) {
  if (entry.cost === null) return "unknown cost";
  if (entry.cost_known >= 1) return `${money(content, entry.cost)} ${unit(content)}`;
  return `at least ${money(content, entry.cost * entry.cost_known)} ${unit(content)} (the cost of ${percent(1 - entry.cost_known, 0)} is unknown)`;
}

/** A rate with its interval and the number of outcomes behind it. */
function rated(rate, digits = 1) {
  return rate === null ? "not recorded" : `${percent(rate.value, digits)} (${percent(rate.interval[0], digits)} to ${percent(rate.interval[1], digits)}, of ${whole(rate.count)})`;
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** A pair's name that may break after the model and at hyphens, so that it fits a phone. */
function paired(name) {
  const [model, tool] = name.split("@@");
  const made = element("span", null, { class: "pair" });
  made.append(model, element("wbr", null), element("span", `@@${tool}`, { class: "tool" }));
  return made;
}

function barName(content) {
  const { pairs } = content.baselines[content.bar];
  return pairs.length > 1 ? `${pairs[0]} (${pairs[1]} where it is not recorded)` : pairs[0];
}

function headline(content, router, step) {
  find("headline").textContent = step.sentence;
  find("basis").textContent = router.basis_sentence;
  find("warning").textContent = router.warning || "";
  find("warning").hidden = !router.warning;
}

function figures(content, router, step) {
  const span = (bounds) => `${percent(bounds[0])} to ${percent(bounds[1])}`;
  const partly = step.cost !== null && step.cost_known < 1;
  const cost = step.cost === null ? "unknown" : `${partly ? "≥ " : ""}${money(content, partly ? step.cost * step.cost_known : step.cost)}`;
  const comparable = step.saved !== null && !partly && content.baselines[content.bar].cost_known >= 1;
  const saves = comparable ? `${step.saved < 0 ? "costs" : "saves"} ${money(content, Math.abs(step.saved))} (${ratio(step.cost_ratio)} of the best single pair’s cost)` : "";
  const cells = [
    [step.effective !== null ? "Right, estimated" : router.fair || step.held_out ? "Right" : "Right, flattered", percent(step.accuracy), `${span(step.interval)}, of ${queries(step.count)}`],
    ["Against the best single pair", signed(step.gain), `points, ${signed(step.gain_interval[0])} to ${signed(step.gain_interval[1])}`],
    [`Cost ${content.volume ? `${unit(content)}, ${whole(content.volume.queries)} queries` : "per 1000 queries"}`, cost, partly ? `the cost of ${percent(1 - step.cost_known, 0)} is unknown` : saves],
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

function notes(content) {
  const said = content.routers.filter((router) => router.basis === "crossfit").length;
  const sources = content.scores ? [`Where the scores come from: ${content.scores.sources.map(([name, share]) => `${name} ${percent(share, 0)}`).join(", ")}.`] : [];
  const lines = [
    `${content.estimated ? "Estimated from" : "Replayed on"} ${queries(content.n_queries)} and ${whole(content.n_outcomes)} recorded outcomes of ${content.pairs.length} pairs.`,
    ...(content.volume ? [`Dollars ${unit(content)} are those of ${whole(content.volume.queries)} queries like these ${unit(content)}: the mean cost of a query here, times that number.`] : []),
    ...(said ? ["Whom a router asks is counted for the router itself. How often it is right is measured on queries that were not seen, by routers fitted like it."] : []),
    "The best single pair is picked in hindsight on these very queries, which favours it.",
    "Intervals are 95%: of the headline from a bootstrap over queries, of clusters, domains and pairs from the number of outcomes (Wilson). Of a few outcomes they are wide, and mean it.",
    ...sources,
    ...content.notes,
  ];
  find("notes").replaceChildren(...[...new Set(lines)].map((line) => element("li", line)));
}
