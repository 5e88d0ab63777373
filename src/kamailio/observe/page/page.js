"use strict";
// The fragment of the address chooses the view, so a link shows the same to others: #set=1&q=gw&sort=-calls.
const $ = (id) => document.getElementById(id);
const WORDS = { inactive: "Inactive", trying: "Trying", draining: "Draining", disabled: "Disabled", active: "Active" };
const STATES = Object.keys(WORDS);
const FEW_SETS = 12;
const DEFAULTS = { set: "", q: "", state: "", sort: "state", offset: "0", count: "100", every: "3", history: "" };
// The samples of counters from which rates are made: some 15 seconds of them.
const SAMPLES = 6;

let view = {};
let answer = null;      // the last one from the server
let answered = 0;       // when, by the clock of this browser
let failure = "";       // why the last request failed
let paused = false;
let asking = null;      // aborts the request that is under way
let timer = 0;
let allSets = false;
let typing = 0;
let known = new Map();  // states of rows by key, to tell what has changed
const samples = new Map();

const number = (n) => n.toLocaleString("en");
const plural = (n, word) => `${number(n)} ${word}${n === 1 ? "" : "s"}`;
const age = (s) => s < 120 ? `${s} s` : s < 7200 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
const time = (ms, day) => new Date(ms).toLocaleString("en-GB", day ? { dateStyle: "medium", timeStyle: "medium" } : { timeStyle: "medium" });
const fixed = (n) => n === null ? "" : n >= 100 ? number(Math.round(n)) : n >= 10 ? n.toFixed(1) : n.toFixed(n === 0 ? 0 : 2);

// Texts from the server only ever become text nodes.
function text(element, value) {
	if (element.textContent !== value) element.textContent = value;
}
function make(name, className, ...children) {
	const element = document.createElement(name);
	if (className) element.className = className;
	element.append(...children.filter((child) => child !== ""));
	return element;
}
function mark(state, label, letters) {
	const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
	svg.setAttribute("aria-hidden", "true");
	const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
	use.setAttribute("href", `#${state}`);
	svg.append(use);
	const element = make("span", `mark state-${state}`, svg, label);
	if (letters) element.append(make("small", "", letters));
	return element;
}
// Replaces what is in an element, unless it would look the same: a reader's place and a selection stay.
function fill(element, signature, children) {
	if (element.dataset.as === signature) return;
	element.dataset.as = signature;
	element.replaceChildren(...children());
}

function readFragment() {
	const given = new URLSearchParams(location.hash.slice(1));
	view = {};
	for (const name in DEFAULTS) view[name] = given.get(name) ?? DEFAULTS[name];
	if (document.activeElement !== $("q")) $("q").value = view.q;
	if (view.history) $("history").open = true;
	known = new Map();
}
function show(changes, instead) {
	const next = { ...view, offset: "0", ...changes };
	const fragment = new URLSearchParams();
	for (const name in DEFAULTS) if (next[name] !== DEFAULTS[name]) fragment.set(name, next[name]);
	const target = `#${fragment}`;
	if (instead || target === location.hash) history.replaceState(null, "", target);
	else history.pushState(null, "", target);
	readFragment();
	ask();
}

const seconds = () => Math.min(Math.max(Number(view.every) || 3, 1), 3600);
function later() {
	clearTimeout(timer);
	if (!paused && !document.hidden) timer = setTimeout(ask, seconds() * 1000);
}
async function get(path, names, signal) {
	const query = new URLSearchParams();
	for (const name of names) if (view[name]) query.set(name, view[name]);
	const reply = await fetch(`${path}?${query}`, { cache: "no-store", signal });
	if (!reply.ok) throw new Error(`${reply.status} ${(await reply.text()).slice(0, 200)}`);
	return reply.json();
}
async function ask() {
	clearTimeout(timer);
	asking?.abort();
	const mine = asking = new AbortController();
	const limit = setTimeout(() => mine.abort(), 15000);
	try {
		const data = await get("data", ["set", "q", "state", "sort", "offset", "count"], mine.signal);
		const changes = $("history").open ? await get("history", ["set"], mine.signal) : null;
		if (asking !== mine) return;
		[answer, answered, failure] = [data, Date.now(), ""];
		sample(data);
		draw(data);
		if (changes) drawChanges(changes);
	} catch (error) {
		if (asking !== mine) return;
		failure = error.name === "TypeError" || error.name === "AbortError" ? "no answer" : error.message;
	} finally {
		clearTimeout(limit);
		if (asking === mine) { asking = null; tick(); later(); }
	}
}

// Rates are differences of counters over the last answers.
function keyOf(row, seen) {
	const key = [row.set, row.uri, row.duid, row.socket].join("\n");
	seen.set(key, (seen.get(key) ?? 0) + 1);
	return `${key}\n${seen.get(key)}`;
}
function sample(data) {
	const seen = new Map();
	const counters = data.rows.map((row) => [row.key = keyOf(row, seen), row.selections]);
	counters.push(...data.sets.map((set) => [`set ${set.id}`, set.selections]));
	const current = new Set();
	for (const [key, count] of counters) {
		if (count === null) continue;
		current.add(key);
		let list = samples.get(key) ?? [];
		if (list.length && count < list.at(-1)[1]) list = [];
		samples.set(key, [...list.slice(1 - SAMPLES), [data.now, count]]);
	}
	for (const key of samples.keys()) if (!current.has(key)) samples.delete(key);
}
function rate(key) {
	const list = samples.get(key);
	if (!list || list.length < 2) return null;
	const [[from, before], [to, after]] = [list[0], list.at(-1)];
	return to > from ? (after - before) * 1000 / (to - from) : null;
}

const COLUMNS = [
	{ name: "Destination", sort: "uri", cell: (row) => [row.uri, also(row)] },
	{ name: "Set", sort: "set", cell: (row) => [`${row.set}`, row.set_name && make("small", "", ` ${row.set_name}`)] },
	{ name: "State", sort: "state", cell: (row) => [mark(row.state, WORDS[row.state], row.letters)] },
	{ name: "For", sort: "for", number: true, cell: (row) => [row.for_s === null ? "" : age(row.for_s)] },
	{ name: "Why", className: "why", cell: (row) => [row.why, row.elsewhere ? make("strong", "", ` ${row.elsewhere}`) : "", row.watched_by ? make("small", "", ` pinged by ${row.watched_by}`) : ""] },
	{ name: "Calls", sort: "-calls", number: true, has: "calls", cell: (row) => [number(row.calls), row.maxload > 0 ? make("small", "", ` / ${number(row.maxload)}`) : "", row.calls_here === undefined ? "" : make("small", "", ` (${number(row.calls_here)} here)`)] },
	{ name: "Selections", sort: "-selections", number: true, has: "counters", cell: (row) => {
		const now = rate(row.key);
		return [number(row.selections), now === null ? "" : make("small", "", ` ${fixed(now)}/s`)];
	} },
	{ name: "Failovers", sort: "-failovers", number: true, has: "counters", cell: (row) => [number(row.failovers)] },
	{ name: "Pings failed", sort: "-pings_failed", number: true, has: "pings", cell: (row) => [number(row.pings_failed), make("small", "", ` of ${number(row.pings)}`)] },
	{ name: "Round trip", sort: "-round_trip", number: true, has: "pings", cell: (row) => [row.round_trip_ms === null ? "" : `${fixed(row.round_trip_ms)} ms`] },
	{ name: "Priority", sort: "-priority", number: true, cell: (row) => [`${row.priority}`] },
	{ name: "Weight", sort: "-weight", number: true, has: "weights", cell: (row) => [row.weight ? `${row.weight}` : row.rweight ? `${row.rweight}` : ""] },
];
function also(row) {
	const parts = [row.desc, row.duid && `duid ${row.duid}`, row.socket && `from ${row.socket}`];
	parts.push(...row.attrs.map(([name, value]) => `${name} ${value}`));
	const spans = parts.filter(Boolean).map((part) => make("span", "", part));
	return spans.length ? make("div", "also", ...spans) : "";
}
const columns = (data) => COLUMNS.filter((column) => !column.has || data.has[column.has]);

const key = (sort) => sort.replace("-", "");
function drawHead(data) {
	const shown = columns(data);
	fill($("head"), shown.map((column) => column.name).join(), () => shown.map((column) => {
		const button = column.sort ? make("button", "", column.name) : make("span", "plain", column.name);
		if (column.sort) {
			button.type = "button";
			button.onclick = () => show({ sort: button.dataset.sort });
		}
		const cell = make("th", column.number ? "number" : "", button);
		cell.scope = "col";
		cell.setAttribute("role", "columnheader");
		return cell;
	}));
	shown.forEach((column, at) => {
		if (!column.sort) return;
		const cell = $("head").children[at];
		const isOn = key(view.sort) === key(column.sort);
		const isDown = view.sort.startsWith("-");
		// The second click turns the order round.
		cell.firstChild.dataset.sort = !isOn ? column.sort : isDown ? key(view.sort) : `-${view.sort}`;
		if (isOn) cell.setAttribute("aria-sort", isDown ? "descending" : "ascending");
		else cell.removeAttribute("aria-sort");
	});
	fill($("order"), shown.map((column) => column.name).join(), () => shown.filter((column) => column.sort).map((column) => new Option(column.name, column.sort)));
	$("order").value = view.sort;
}

const lines = new Map();  // table rows by key
function drawRows(data) {
	const shown = columns(data);
	const wanted = data.rows.map((row) => {
		let line = lines.get(row.key);
		if (!line || line.children.length !== shown.length) {
			line = make("tr");
			line.setAttribute("role", "row");
			shown.forEach((column, at) => {
				const cell = make(at ? "td" : "th", column.className ?? (column.number ? "number" : ""));
				cell.setAttribute("role", at ? "cell" : "rowheader");
				if (at) cell.dataset.name = column.name; else cell.scope = "row";
				line.append(cell);
			});
			lines.set(row.key, line);
		}
		line.className = `state-${row.state}`;
		shown.forEach((column, at) => {
			const parts = column.cell(row).filter((part) => part !== "");
			const signature = parts.map((part) => part.outerHTML ?? part).join("\0");
			const cell = line.children[at];
			fill(cell, signature, () => parts);
			cell.classList.toggle("none", signature === "");
		});
		return line;
	});
	const keep = new Set(wanted);
	for (const [key, line] of lines) if (!keep.has(line)) { line.remove(); lines.delete(key); }
	wanted.forEach((line, at) => {
		if ($("rows").children[at] !== line) $("rows").insertBefore(line, $("rows").children[at] ?? null);
	});
	$("nothing").hidden = data.rows.length > 0;
	$("table").hidden = data.rows.length === 0;
	const last = data.offset + data.rows.length;
	$("pages").hidden = data.offset === 0 && data.next === null;
	text($("place"), `${number(Math.min(data.offset + 1, last))} to ${number(last)} of ${number(data.matches)}`);
	$("back").disabled = data.offset === 0;
	$("on").disabled = data.next === null;
}

function drawSets(data) {
	const chosen = view.set.split(",");
	const few = allSets ? data.sets : data.sets.filter((set, at) => at < FEW_SETS || chosen.includes(`${set.id}`));
	const signature = (set) => JSON.stringify([set, rate(`set ${set.id}`), chosen.includes(`${set.id}`)]);
	while ($("sets").children.length > few.length) $("sets").lastChild.remove();
	few.forEach((set, at) => {
		const item = $("sets").children[at] ?? $("sets").appendChild(make("li"));
		let card = item.firstChild;
		if (!card) {
			card = item.appendChild(make("button", "card"));
			card.type = "button";
			card.onclick = () => show({ set: card.getAttribute("aria-pressed") === "true" ? "" : card.dataset.set });
		}
		card.dataset.set = set.id;
		card.setAttribute("aria-pressed", `${chosen.includes(`${set.id}`)}`);
		// A set that takes no calls is a fault, whoever has taken its destinations out.
		const worst = set.up === 0 ? "inactive" : STATES.find((state) => set[state] > 0);
		card.className = `card state-${worst}`;
		fill(card, signature(set), () => {
			const bar = make("span", "bar", ...STATES.toReversed().filter((state) => set[state] > 0).map((state) => {
				const part = make("i", `state-${state}`);
				part.style.flexGrow = set[state];
				return part;
			}));
			const others = STATES.filter((state) => state !== "active" && set[state] > 0);
			const note = others.map((state) => `${number(set[state])} ${state}`).join(", ") || (set.total ? "all active" : "empty");
			const now = rate(`set ${set.id}`);
			const load = [data.has.calls && plural(set.calls, "call"), now !== null && `${fixed(now)} selections/s`].filter(Boolean).join(", ");
			return [
				make("span", "top",
					make("span", "name", `Set ${set.id}`),
					make("span", "up", `${number(set.up)}`, make("small", "", ` of ${number(set.total)} up`))),
				set.name && make("span", "title", set.name),
				bar, make("span", "note", note), load && make("span", "note", load),
			].filter(Boolean);
		});
	});
	const hidden = data.sets.length - few.length;
	$("more-sets").hidden = data.sets.length <= FEW_SETS;
	text($("more-sets"), hidden ? `Show ${plural(hidden, "more set")}` : "Show fewer sets");
	if (data.sets_omitted) text($("sets-title"), `The ${data.sets.length} worst of ${number(data.totals.sets)} sets`);
	else text($("sets-title"), data.totals.sets === 1 ? "Set" : `${number(data.totals.sets)} sets`);
}

function drawStates(data) {
	const all = STATES.reduce((sum, state) => sum + data.states[state], 0);
	fill($("states"), "made", () => ["", ...STATES].map((state) => {
		const count = make("span", "count");
		const button = make("button", "", state ? mark(state, WORDS[state]) : "All", " ", count);
		button.type = "button";
		button.dataset.state = state;
		button.onclick = () => show({ state });
		return button;
	}));
	for (const button of $("states").children) {
		const { state } = button.dataset;
		button.setAttribute("aria-pressed", `${view.state === state}`);
		text(button.lastChild, number(state ? data.states[state] : all));
	}
	$("clear").hidden = !(view.set || view.q || view.state);
}

function draw(data) {
	const { totals } = data;
	const down = totals.destinations - totals.up;
	text($("headline"), totals.destinations === 0 ? "No destinations" :
		down === 0 ? (totals.up === 1 ? "The only destination is up" : `All ${number(totals.up)} destinations are up`) :
			`${number(down)} of ${plural(totals.destinations, "destination")} ${down === 1 ? "is" : "are"} out of service`);
	document.title = `${down ? `(${down}) ` : ""}Dispatcher ${data.host}`;
	const facts = [
		totals.down_sets && `${plural(totals.down_sets, "set")} without a usable destination`,
		plural(totals.sets, "set"), data.has.calls && plural(totals.calls, "call"), `pings ${data.pings}`, `list ${data.source}`,
	];
	text($("summary"), facts.filter(Boolean).join(" · "));
	text($("host"), data.host);
	text($("versions"), `${data.server}, module ${data.version}`);
	drawSets(data);
	drawStates(data);
	drawHead(data);
	drawRows(data);
	say(data);
}

// Tells a screen reader what has changed since the last answer.
function say(data) {
	const changed = data.rows.filter((row) => known.has(row.key) && known.get(row.key) !== row.state);
	const parts = changed.slice(0, 3).map((row) => `${row.uri} is ${row.state}.`);
	if (changed.length > 3) parts.push(`${changed.length - 3} more have changed.`);
	if (known.size === 0) parts.push(`${plural(data.matches, "destination")}.`);
	if (parts.length) $("said").textContent = parts.join(" ");
	known = new Map(data.rows.map((row) => [row.key, row.state]));
}

function drawChanges(data) {
	const changes = data.changes ?? [];
	$("no-history").hidden = changes.length > 0;
	$("no-history").textContent = data.changes ? "No state has changed since the server started." : "No changes are kept: history_size is 0.";
	fill($("changes"), JSON.stringify(changes), () => changes.map((change) => {
		const when = make("time", "", time(change.at, true));
		when.dateTime = new Date(change.at).toISOString();
		return make("li", "", when, make("span", "grow", change.uri, make("small", "", ` set ${change.set} ${change.set_name}`)),
			mark(change.to, `${WORDS[change.from]} to ${change.to}`), make("span", "quiet", change.why));
	}));
}

function tick() {
	const late = Date.now() - answered;
	const isStale = !paused && (answer ? late > 3000 * seconds() : failure !== "");
	document.body.className = isStale ? "stale" : "";
	$("banner").hidden = !isStale;
	if (isStale) {
		const since = answer ? `What you see is from ${time(answered)}.` : "";
		text($("banner"), `The server does not answer${failure && failure !== "no answer" ? ` (${failure})` : ""}. ${since} It is asked again every ${seconds()} s.`);
	}
	text($("clock"), answer ? `${paused ? "Paused at" : "Live"} ${time(answered)}` : "");
}

$("pause").onclick = () => {
	paused = !paused;
	$("pause").setAttribute("aria-pressed", `${paused}`);
	if (paused) clearTimeout(timer); else ask();
	tick();
};
$("q").oninput = () => {
	clearTimeout(typing);
	typing = setTimeout(() => show({ q: $("q").value }, true), 200);
};
$("filters").onsubmit = (event) => event.preventDefault();
$("order").onchange = () => show({ sort: $("order").value });
$("clear").onclick = () => {
	$("q").value = "";
	show({ set: "", q: "", state: "" });
	$("q").focus();
};
$("more-sets").onclick = () => { allSets = !allSets; drawSets(answer); };
const turn = (offset) => { show({ offset: `${offset}` }); $("table").focus(); };
$("back").onclick = () => turn(Math.max(0, answer.offset - Number(view.count)));
$("on").onclick = () => turn(answer.next);
$("history").ontoggle = () => { if ($("history").open !== (view.history !== "")) show({ offset: view.offset, history: $("history").open ? "1" : "" }, true); };
addEventListener("hashchange", () => { readFragment(); ask(); });
document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else if (!paused) ask(); });
setInterval(tick, 1000);
readFragment();
ask();
