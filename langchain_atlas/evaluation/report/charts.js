"use strict";
// The charts. Each takes the content, the chosen router and the number of its setting, and draws itself anew.

const PALETTE = ["#2f8f89", "#cf8a35", "#6573c3", "#c45c78", "#83953f", "#4d9dc8", "#93609f", "#b96842", "#6f7f8d", "#52a071", "#a89132", "#7d6bd0"];
const CONFIG = { responsive: false, displayModeBar: false, displaylogo: false };

const colour = (number) => PALETTE[number % PALETTE.length];
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const narrow = () => window.innerWidth < 640;
// Plotly reads a little HTML in its texts; what comes from the data is none.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const cut = (text, length) => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);
const wrapped = (text, width = 60) => plain(text).replace(new RegExp(`(.{1,${width}})(?:\\s|$)|(.{${width}})`, "g"), "$1$2<br>");

function layout(more) {
  const axis = { gridcolor: ink("line"), linecolor: ink("line"), zeroline: false, tickfont: { color: ink("soft") }, automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", dragmode: false,
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: ink("ink") },
    margin: { l: 10, r: 16, t: 12, b: 10 }, showlegend: false,
    hoverlabel: { bgcolor: ink("card"), bordercolor: ink("line"), font: { color: ink("ink"), size: 12.5 }, align: "left" },
    ...more,
    xaxis: { ...axis, ...(more.xaxis || {}) }, yaxis: { ...axis, ...(more.yaxis || {}) },
  };
}

/** Draw a chart as wide as the page leaves it now. */
function draw(id, traces, layout) {
  Plotly.react(id, traces, { ...layout, width: Math.floor(find(id).clientWidth) }, CONFIG);
}

function said(content, step) {
  return `${percent(step.accuracy)} right (${percent(step.interval[0])} to ${percent(step.interval[1])}, of ${whole(step.count)})<br>${priced(content, step)}`;
}

/** Ticks of a logarithmic axis at 1, 2 and 5 of every power of ten; on a narrow screen at 1 alone. */
function ticks(costs) {
  const values = [];
  const known = costs.filter((cost) => cost > 0);
  for (let power = Math.floor(Math.log10(Math.min(...known))); power <= Math.ceil(Math.log10(Math.max(...known))); power += 1) {
    for (const digit of narrow() ? [1] : [1, 2, 5]) values.push(Number(`${digit}e${power}`));
  }
  return { tickvals: values, ticktext: values.map((value) => `$${value}`) };
}

function frontier(content, router, at) {
  const circles = content.pairs.filter((pair) => pair.cost_usd_per_1k !== null && pair.accuracy !== null);
  const traces = [
    { x: content.hull.cost, y: content.hull.accuracy, mode: "lines", showlegend: false, hoverinfo: "skip", line: { color: ink("mark"), width: 1.5, dash: "dot" } },
    {
      x: circles.map((pair) => pair.cost_usd_per_1k), y: circles.map((pair) => pair.accuracy), mode: "markers", showlegend: false,
      marker: { color: circles.map((pair) => (pair.on_hull ? ink("soft") : ink("mark"))), size: 8, opacity: circles.map((pair) => (pair.comparable ? 0.85 : 0.35)) },
      text: circles.map((pair) => `<b>${plain(pair.name)}</b><br>${percent(pair.accuracy)} right (${percent(pair.accuracy_ci95[0])} to ${percent(pair.accuracy_ci95[1])}, of ${whole(pair.count)})<br>${money(content, pair.cost_usd_per_1k)} ${unit(content)}` +
        (pair.coverage < 1 ? `<br>recorded on ${percent(pair.coverage, 0)} of the queries` : "")),
      hovertemplate: "%{text}<extra></extra>",
    },
  ];
  const shapes = { best_single: "diamond", best_single_filled: "diamond", cheapest: "triangle-down", random: "x", oracle: "star" };
  const names = { best_single: "best single pair", best_single_filled: "best single pair", cheapest: "cheapest pair", random: "random pair", oracle: "oracle" };
  for (const [name, baseline] of Object.entries(content.baselines)) {
    if (baseline.cost === null || (name === "best_single" && content.bar !== name)) continue;
    traces.push({
      x: [baseline.cost], y: [baseline.accuracy], mode: "markers", name: names[name], showlegend: true, cliponaxis: false,
      marker: { symbol: shapes[name], size: 12, color: name === "oracle" ? ink("other") : ink("ink") },
      hovertemplate: `<b>${names[name]}</b><br>${name === "random" || name === "oracle" ? "" : `${plain(baseline.pairs.join(", else "))}<br>`}` +
        `${said(content, baseline)}<extra></extra>`,
    });
  }
  content.routers.forEach((other, number) => {
    // One pair always, the last step in dollars, is no end of the line: it has a mark of its own, as a single pair.
    const steps = other.steps.filter((step) => step.cost !== null && !(other.knob === "value" && step.settled));
    const shade = number === 0 ? ink("accent") : colour(number + 1);
    traces.push({
      x: steps.map((step) => step.cost), y: steps.map((step) => step.accuracy), mode: "lines+markers", showlegend: content.routers.length > 1, name: plain(cut(other.label, 30)), opacity: other === router ? 1 : 0.45,
      line: { color: shade, width: 2, shape: "linear" }, marker: { color: shade, size: 5 },
      text: steps.map((step) => `<b>${plain(other.label)}</b>${other.knob ? `, ${plain(step.label)}` : ""}<br>${said(content, step)}`),
      hovertemplate: "%{text}<extra></extra>",
    });
  });
  const step = router.steps[at];
  const shade = content.routers.indexOf(router) === 0 ? ink("accent") : colour(content.routers.indexOf(router) + 1);
  if (step.cost !== null) {
    traces.push({
      x: [step.cost], y: [step.accuracy], mode: "markers", showlegend: false, cliponaxis: false,
      error_y: { type: "data", symmetric: false, array: [step.interval[1] - step.accuracy], arrayminus: [step.accuracy - step.interval[0]], color: shade, thickness: 1.4, width: 4 },
      marker: { size: 17, color: shade, line: { color: ink("paper"), width: 2.5 } },
      text: [`<b>${plain(router.label)}</b><br>${said(content, step)}`], hovertemplate: "%{text}<extra></extra>",
    });
  }
  draw("frontier", traces, layout({
    height: narrow() ? 420 : 490, margin: { l: 10, r: 24, t: 24, b: 10 }, showlegend: true,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { color: ink("soft"), size: 12 }, itemclick: false, itemdoubleclick: false },
    xaxis: { type: "log", title: { text: "dollars per 1000 queries", font: { color: ink("soft") } }, ...ticks(circles.map((pair) => pair.cost_usd_per_1k)) },
    yaxis: { tickformat: ".0%", title: { text: narrow() ? "" : "accuracy", font: { color: ink("soft") } } },
  }));
}

function clusterMap(content, router) {
  const drawn = router.clusters.map;
  const traces = router.clusters.clusters.map((cluster, number) => {
    const rows = drawn.cluster.map((place, row) => (place === number ? row : -1)).filter((row) => row >= 0);
    return {
      x: rows.map((row) => drawn.x[row]), y: rows.map((row) => drawn.y[row]), mode: "markers", type: "scatter",
      marker: { size: 6, color: colour(number), opacity: 0.62 },
      text: rows.map((row) => `<b>cluster ${number}</b>, ${plain(content.domains[drawn.domain[row]])}` + (drawn.text ? `<br>${wrapped(drawn.text[row])}` : "")),
      hovertemplate: "%{text}<extra></extra>",
    };
  });
  const middle = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
  const annotations = traces.map((trace, number) => ({ trace, number })).filter(({ trace }) => trace.x.length).map(({ trace, number }) => ({
    x: middle(trace.x), y: middle(trace.y), text: `<b>${number}</b>`, showarrow: false, bgcolor: ink("card"), bordercolor: colour(number),
    borderpad: 3, font: { size: 11.5, color: ink("ink") }, opacity: 0.92,
  }));
  const bare = { showticklabels: false, showgrid: false, zeroline: false, showline: false, ticks: "" };
  draw("map", traces, layout({ height: narrow() ? 340 : 460, xaxis: bare, yaxis: bare, annotations }));
  document.getElementById("map-caption").textContent = `${drawn.x.length} of ${content.n_queries} queries, their embeddings projected onto the plane ` +
    "that spreads the clusters most. Near means alike; the axes have no unit." + (drawn.text ? "" : " Texts are left out; --show-queries writes some into the file.");
}

/** A rate with its Wilson interval. */
function ringRate(mean, count) {
  if (!count) return "not recorded here";
  const z = 1.96;
  const middle = (mean + (z * z) / (2 * count)) / (1 + (z * z) / count);
  const half = (z / (1 + (z * z) / count)) * Math.sqrt((mean * (1 - mean)) / count + (z * z) / (4 * count * count));
  return `${percent(mean)} right (${percent(Math.max(0, middle - half), 0)} to ${percent(Math.min(1, middle + half), 0)}, of ${whole(count)} outcomes)`;
}

function heat(content, router, at) {
  const { success, count } = router.clusters.heat;
  // Whom the router asks first in each cluster: the pairs that get a tenth of its queries or more.
  const often = (groups) => groups.flatMap((pairs, cluster) => pairs.filter(([, part]) => part >= 0.1 * sum(pairs)).map(([pair, part]) => ({ cluster, pair, part, share: part / sum(pairs) })));
  const sum = (pairs) => pairs.reduce((total, [, part]) => total + part, 0);
  const rings = often(router.clusters.asked[at]);
  const ever = new Set(router.clusters.asked.flatMap(often).map((entry) => entry.pair));
  const order = content.pairs.map((pair, number) => number).sort((a, b) => (content.pairs[b].accuracy ?? 0) - (content.pairs[a].accuracy ?? 0));
  const rows = order.filter((pair, rank) => rank < 24 || ever.has(pair)).reverse();
  const label = (pair) => {
    const [model, tool] = content.pairs[pair].name.split("@@");
    return plain(`${cut(model, narrow() ? 17 : 34)}@@${cut(tool, narrow() ? 9 : 20)}`);
  };
  const columns = success.map((_, cluster) => cluster);
  const room = (find("heat").clientWidth - 330) / columns.length; // for the name above a column
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  draw("heat", [
    {
      type: "heatmap", x: columns, y: rows.map((_, row) => row), z: rows.map((pair) => columns.map((cluster) => success[cluster][pair])), xgap: 2, ygap: 2,
      zmin: 0, zmax: 1, colorscale: dark ? [[0, "#20262a"], [0.5, "#2c4f50"], [1, "#5cc0b7"]] : [[0, "#f6f2ea"], [0.5, "#cfe0dc"], [1, "#1f7a75"]],
      colorbar: { tickformat: ".0%", thickness: 9, outlinewidth: 0, len: 0.5, tickfont: { color: ink("soft") } }, showscale: !narrow(),
      text: rows.map((pair) => columns.map((cluster) => `<b>${plain(content.pairs[pair].name)}</b><br>cluster ${cluster}, mostly ${plain(router.clusters.clusters[cluster].label)}` +
        `<br>${ringRate(success[cluster][pair], count[cluster][pair])}`)),
      hovertemplate: "%{text}<extra></extra>", hoverongaps: false,
    },
    {
      x: rings.map((ring) => ring.cluster), y: rings.map((ring) => rows.indexOf(ring.pair)), mode: "markers",
      marker: { symbol: "circle", size: rings.map((ring) => 4 + 9 * Math.sqrt(ring.share)), color: ink("card"), opacity: 1, line: { color: ink("other"), width: 2.5 } },
      text: rings.map((ring) => `<b>${plain(content.pairs[ring.pair].name)}</b><br>asked for ${whole(ring.part)} (${percent(ring.share, 0)}) of cluster ${ring.cluster}` +
        `<br>${ringRate(success[ring.cluster][ring.pair], count[ring.cluster][ring.pair])}`),
      hovertemplate: "%{text}<extra></extra>",
    },
  ], layout({
    height: 70 + 21 * rows.length, margin: { l: 10, r: 10, t: 34, b: 6 },
    xaxis: { side: "top", tickvals: columns, ticktext: columns.map((cluster) => (room < 96 ? `${cluster}` : `${cluster} ${plain(cut(router.clusters.clusters[cluster].label, 10))}`)), showgrid: false, tickfont: { size: 11, color: ink("soft") }, tickangle: 0 },
    yaxis: { tickvals: rows.map((_, row) => row), ticktext: rows.map(label), showgrid: false, tickfont: { size: narrow() ? 9.5 : 11, color: ink("soft") }, range: [-0.6, rows.length - 0.4] },
  }));
  document.getElementById("heat-caption").textContent = rows.length < content.pairs.length ? `${rows.length} of ${content.pairs.length} pairs: the most accurate, and those that a cluster asks at some setting.` : "";
}

/** The axis of settings in dollars: every fourth step is named. */
function valueAxis(router) {
  const last = router.steps.length - 1;
  const named = router.steps.map((_, number) => number).filter((number) => number === last || (number % (narrow() ? 8 : 4) === 0 && number < last - 1));
  const text = named.map((number) => (router.steps[number].value === null ? (router.steps[number].settled ? "one pair" : "accuracy") : dollars(router.steps[number].value)));
  return { title: { text: "what a right answer is worth", font: { color: ink("soft") } }, range: [0, last], tickvals: named, ticktext: text, showgrid: false };
}

function shares(content, router, at) {
  const total = new Map();
  router.steps.forEach((step) => step.shares.forEach(([pair, share]) => total.set(pair, (total.get(pair) || 0) + share)));
  const top = [...total.entries()].sort((a, b) => b[1] - a[1]).slice(0, 9).map(([pair]) => pair);
  const of = (step, pair) => (step.shares.find(([number]) => number === pair) || [0, 0])[1];
  const rest = (step) => step.shares.reduce((sum, [pair, share]) => sum + (top.includes(pair) ? 0 : share), 0);
  const bands = top.map((pair, number) => ({ name: content.pairs[pair].name, shade: colour(number), values: router.steps.map((step) => of(step, pair)) }));
  bands.push({ name: "others", shade: ink("mark"), values: router.steps.map(rest) });
  const shown = bands.filter((band) => band.values.some((value) => value > 0.0005));
  const valued = router.knob === "value"; // dollars, one step beside the other; the last may be one pair always
  const x = router.steps.map((step, number) => (valued ? number : step.value));
  const single = x.length === 1;
  const traces = shown.map((band) => ({
    name: plain(cut(band.name, narrow() ? 34 : 42)), hovertemplate: `<b>${plain(band.name)}</b><br>%{${single ? "x" : "y"}:.1%} of the answers<extra></extra>`,
    ...(single
      ? { type: "bar", orientation: "h", x: band.values, y: [""], marker: { color: band.shade } }
      : { x, y: band.values, mode: "lines", stackgroup: "all", line: { width: 0.6, color: band.shade }, fillcolor: `${band.shade}d0` }),
  }));
  const shapes = single ? [] : [{ type: "line", x0: x[at], x1: x[at], y0: 0, y1: 1, line: { color: ink("ink"), width: 1.6, dash: "dot" } }];
  draw("shares", traces, layout({
    height: narrow() ? 480 : 360, barmode: "stack", shapes, showlegend: true, hovermode: single ? "closest" : "x",
    legend: narrow() ? { orientation: "h", y: -0.25, font: { size: 10.5 } } : { font: { size: 11.5 }, traceorder: "normal", x: 1.02 },
    xaxis: single ? { tickformat: ".0%", range: [0, 1] } : valued ? valueAxis(router) : { title: { text: router.knob.replace("_", " "), font: { color: ink("soft") } }, range: [0, 1], showgrid: false },
    yaxis: single ? {} : { tickformat: ".0%", range: [0, 1] },
  }));
}

function domains(content, router, at) {
  const bar = content.baselines[content.bar];
  const order = content.domains.map((_, number) => number).sort((a, b) => content.domain_sizes[a] - content.domain_sizes[b]);
  const y = order.map((number) => number);
  const mine = order.map((number) => router.steps[at].domains[number]);
  const other = order.map((number) => bar.domains[number]);
  const values = (rates) => rates.map((rate) => (rate === null ? null : rate.value));
  const spans = (rates, shade) => ({
    type: "data", symmetric: false, color: shade, thickness: 1.3, width: 0, array: rates.map((rate) => (rate === null ? 0 : rate.interval[1] - rate.value)),
    arrayminus: rates.map((rate) => (rate === null ? 0 : rate.value - rate.interval[0])),
  });
  const hover = (who, rates) => order.map((number, row) => `<b>${plain(content.domains[number])}</b>, ${content.domain_sizes[number]} queries<br>${who}: ${rated(rates[row])}`);
  draw("domains", [
    { x: values(other), y: y.map((_, row) => row - 0.16), mode: "markers", name: "best single pair", error_x: spans(other, ink("mark")), marker: { size: 9, symbol: "diamond", color: ink("soft") }, text: hover("single pair", other), hovertemplate: "%{text}<extra></extra>" },
    { x: values(mine), y: y.map((_, row) => row + 0.16), mode: "markers", name: "router", error_x: spans(mine, ink("accent")), marker: { size: 10, color: ink("accent") }, text: hover("router", mine), hovertemplate: "%{text}<extra></extra>" },
  ], layout({
    height: 90 + 32 * order.length, showlegend: true, legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0 },
    xaxis: { tickformat: ".0%", nticks: narrow() ? 5 : 0 },
    yaxis: { tickvals: y.map((_, row) => row), ticktext: order.map((number) => plain(cut(content.domains[number], narrow() ? 18 : 40))), showgrid: true, range: [-0.7, order.length - 0.3] },
  }));
}

function calls(router, at) {
  const share = router.steps[at].calls_share;
  draw("calls", [{
    type: "bar", x: share.map((_, number) => number), y: share, marker: { color: ink("accent") }, text: share.map((value) => percent(value, 0)), textposition: "outside", cliponaxis: false,
    hovertemplate: "%{x} calls: %{y:.1%} of the queries<extra></extra>",
  }], layout({ height: 240, bargap: 0.45, margin: { l: 10, r: 16, t: 26, b: 10 }, xaxis: { dtick: 1, showgrid: false, title: { text: "calls", font: { color: ink("soft") } } }, yaxis: { tickformat: ".0%", rangemode: "tozero" } }));
}
