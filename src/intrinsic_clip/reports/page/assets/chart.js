// Line charts as SVG, drawn as wide as their container. A chart is
//   { label, height, x, y, series, truth, upright, across }
// with axes { label, log, zero, whole, categories }, series { label, colour, dash, points, area, dots, thin, level }, points
// { x, y, sd, n, of } of which y is null where there is no number, and n the values of a mean `of` so many; and the true k*: `truth`, points of a dashed line, or of
// several that `line` tells apart (`levels`: a horizontal one for each k*), `upright`, places of vertical ones, or
// { x, label } of others; `across`, { y, label } of horizontal ones. A series that is a `level` is a broad line behind a
// curve, and is not read out.

const MOST_IN_TOOLTIP = 12;
const DASHES = [null, '6 4', '2 4', '10 3 2 3', '14 4', '6 3 2 3 2 3']; // three modalities have six directions

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);

// Colours are custom properties, so that they follow light and dark; those go into styles, not attributes.
function coloured(node, property, colour) {
  node.style.setProperty(property, colour);
  return node;
}

function swatch({ colour, dash, area }) {
  const mark = area
    ? coloured(svg('rect', { width: 18, height: 10, y: 1, class: 'area' }), 'fill', colour)
    : coloured(
        svg('line', { x1: 1, x2: 17, y1: 6, y2: 6, 'stroke-width': 2.5, 'stroke-dasharray': dash }),
        'stroke',
        colour,
      );
  return svg('svg', { width: 18, height: 12, 'aria-hidden': 'true' }, mark);
}

// Numbers -------------------------------------------------------------------------------------------------------------

function number(value, digits = 4) {
  if (value === null || value === undefined) return '–';
  const size = Math.abs(Number(value.toPrecision(digits)));
  if (size !== 0 && (size < 1e-4 || size >= 1e7))
    return exponential(value, digits - 1)
      .replace(/\.?0+e/, 'e')
      .replace('+', '');
  return value.toLocaleString('en', { maximumSignificantDigits: digits }).replace('-', '−');
}

// With an exponent of two digits, as the terminal writes it.
const exponential = (value, decimals) =>
  value
    .toExponential(decimals)
    .replace(/e([+-])(\d)$/, 'e$10$2')
    .replaceAll('-', '−');

// Mean and deviation to the second digit of the deviation: the rule of `plus_minus` in number_format.py.
function plusMinus(mean, deviation) {
  if (mean === null || !deviation || deviation < 5e-7 * Math.min(1, Math.abs(mean))) return [number(mean), ''];
  const exponent = (value) => Number(value.toExponential().split('e')[1]);
  const decimals = Math.min(Math.max(1 - exponent(deviation), 0), 100);
  const isSmall = Math.max(Math.abs(mean), deviation) < 1e-4;
  const rounded = (value) => {
    const text = value.toFixed(decimals);
    if (!isSmall) return text.replace('-', '−');
    return Number(text) ? exponential(Number(text), decimals + exponent(Number(text))) : '0';
  };
  return [rounded(mean), ` ± ${rounded(deviation)}`];
}

// A mean and its deviation, with the number `n` of values that it is of where that is fewer than all, `of`.
function withCount({ y, sd, n, of }) {
  const [value, spread] = plusMinus(y, sd);
  return [value, n && n < of ? `${spread} (n = ${n})` : spread];
}

// Scales --------------------------------------------------------------------------------------------------------------

function linearTicks(low, high, count, least = 0) {
  const rough = Math.max((high - low) / count, least) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function logTicks(low, high, count, least = 0) {
  const decades = Math.log10(high / low);
  if (decades < 1) return linearTicks(low, high, count, least).filter((value) => value > 0);
  const factors = decades < 2 ? [1, 2, 5] : decades < 3.5 ? [1, 3] : [1];
  const every = Math.ceil(decades / (count + 2));
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += every)
    ticks.push(...factors.map((factor) => Number((factor * 10 ** power).toPrecision(3))));
  return ticks.filter((value) => value >= Math.max(low * 0.999, least) && value <= high * 1.001);
}

// The ticks in words, with as many digits as tell the closest apart: 4 are too few for 1.0015, 1.0020, 1.0025.
function tickLabels(ticks) {
  const steps = ticks.slice(1).map((tick, i) => tick - ticks[i]);
  const power = (value) => Math.floor(Math.log10(value) + 1e-9);
  const largest = Math.max(...ticks.map(Math.abs));
  const needed = steps.length && largest ? power(largest) - power(Math.min(...steps)) + 1 : 0;
  return ticks.map((tick) => number(tick, Math.min(Math.max(needed, 4), 12)));
}

// A map from values to pixels, with its ticks.
function scale(values, axis, from, to, count) {
  const usable = values.filter((value) => Number.isFinite(value) && (!axis.log || value > 0));
  let low = usable.length ? Math.min(...usable) : axis.log ? 0.1 : 0;
  let high = usable.length ? Math.max(...usable) : 1;
  if (axis.zero && !axis.log) low = Math.min(low, 0);
  if (low === high)
    [low, high] = axis.log
      ? [low / 2, high * 2]
      : [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10];
  if (!axis.tight) {
    const margin = axis.log ? Math.log10(high / low) * 0.04 : (high - low) * 0.05;
    if (axis.log) [low, high] = [low / 10 ** margin, high * 10 ** margin];
    else [low, high] = [axis.zero && low === 0 ? 0 : low - margin, high + margin];
  }
  const bend = axis.log ? Math.log10 : (value) => value;
  const map = (value) => from + ((bend(value) - bend(low)) / (bend(high) - bend(low))) * (to - from);
  const clamped = (value) => map(axis.log && value < low ? low : Math.min(Math.max(value, low), high));
  return {
    map,
    clamped,
    low,
    high,
    ticks: (axis.log ? logTicks : linearTicks)(low, high, count, axis.whole ? 1 : 0),
  };
}

// Drawing -------------------------------------------------------------------------------------------------------------

const drawn = new WeakMap();
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const { spec, width } = drawn.get(target);
    if (Math.abs(target.clientWidth - width) >= 1) chart(target, spec);
  }
});

function chart(host, spec) {
  const width = host.clientWidth || 600;
  if (!drawn.has(host)) resized.observe(host);
  drawn.set(host, { spec, width });
  const plan = layout(spec, width);
  const box = svg('svg', {
    viewBox: `0 0 ${width} ${plan.height}`,
    height: plan.height,
    tabindex: 0,
    role: 'img',
    'aria-label': `${spec.label}. Arrow keys read out the values.`,
  });
  box.append(axes(spec, plan), ...spec.series.map((series) => marks(series, spec, plan)), truth(spec, plan));
  host.classList.add('chart');
  host.replaceChildren(box);
  if (plan.places.length) readout(host, box, spec, plan);
}

function layout(spec, width) {
  const height =
    Math.round(Math.min(spec.height || 260, Math.max(150, width * 0.75))) + (spec.x.categories ? 56 : 0);
  const points = spec.series.flatMap((series) => series.points.filter((point) => point.y !== null));
  const ys = points.flatMap((point) => [point.y - (point.sd || 0), point.y + (point.sd || 0)]);
  const y = scale(
    [...ys, ...[...(spec.truth || []), ...(spec.across || [])].map((point) => point.y)],
    spec.y,
    height - (spec.x.categories ? 96 : 40),
    24,
    height / 55,
  );
  const left = 14 + 6.6 * Math.max(...tickLabels(y.ticks).map((label) => label.length), 2);
  const xs = spec.series
    .filter((series) => !series.level)
    .flatMap((series) => series.points.filter((point) => point.y !== null).map((point) => point.x));
  const [before, after] = spec.x.categories
    ? [Math.min(90, width / 5), 20]
    : spec.x.tight
      ? [0, 0]
      : [10, 10];
  const right = width - ((spec.truth || []).length ? 48 : 14);
  const x = scale(
    xs,
    { ...spec.x, tight: true },
    left + before,
    right - after,
    Math.max(2, (width - left) / 50),
  );
  if (spec.x.categories) x.ticks = spec.x.categories.map((_, place) => place);
  const usable = (value) => !spec.x.log || value > 0;
  const places = [...new Set(xs)].filter(usable).sort((a, b) => a - b);
  return {
    width,
    height,
    left,
    right,
    bottom: height - (spec.x.categories ? 96 : 40),
    top: 24,
    x,
    y,
    places,
    usable,
  };
}

function axes(spec, { width, left, right, top, bottom, x, y, height }) {
  const group = svg('g', { 'aria-hidden': 'true' });
  const yLabels = tickLabels(y.ticks);
  for (const [i, tick] of y.ticks.entries()) {
    const at = y.map(tick);
    group.append(
      svg('line', { x1: left, x2: right, y1: at, y2: at, class: 'grid' }),
      svg('text', { x: left - 7, y: at + 4, 'text-anchor': 'end' }, yLabels[i]),
    );
  }
  group.append(svg('line', { x1: left, x2: right, y1: bottom, y2: bottom, class: 'axis' }));
  const xLabels = tickLabels(x.ticks);
  for (const [i, tick] of x.ticks.entries()) {
    const at = x.map(tick);
    group.append(svg('line', { x1: at, x2: at, y1: bottom, y2: bottom + 4, class: 'axis' }));
    if (spec.x.categories) {
      const words = spec.x.categories[tick];
      const shown = words.length > 24 ? `${words.slice(0, 23)}…` : words;
      group.append(
        svg(
          'text',
          { transform: `translate(${at + 4} ${bottom + 14}) rotate(-20)`, 'text-anchor': 'end' },
          shown,
        ),
      );
    } else group.append(svg('text', { x: at, y: bottom + 17, 'text-anchor': 'middle' }, xLabels[i]));
  }
  group.append(svg('text', { x: (left + right) / 2, y: height - 5, 'text-anchor': 'middle' }, spec.x.label));
  group.append(svg('text', { x: 2, y: 12 }, spec.y.label + (spec.y.log ? ' (log)' : '')));
  return group;
}

// Runs of points without a gap.
function pieces(points, drawable) {
  const found = [[]];
  for (const point of points) {
    if (drawable(point)) found[found.length - 1].push(point);
    else if (found[found.length - 1].length) found.push([]);
  }
  return found.filter((piece) => piece.length);
}

function marks(series, spec, { x, y, usable, bottom }) {
  const drawable = (point) => point.y !== null && usable(point.x) && (!spec.y.log || point.y > 0);
  const path = (points, value) =>
    points.map((p) => `${x.map(p.x).toFixed(1)},${value(p).toFixed(1)}`).join('L');
  const group = svg('g', {
    class: series.level ? 'plateau' : 'series',
    'data-series': series.label,
    transform: series.shift ? `translate(${series.shift} 0)` : null,
  });
  for (const piece of pieces(series.points, drawable)) {
    if (series.area) {
      const ends = [piece[piece.length - 1], piece[0]];
      const d = `M${path(piece, (p) => y.map(p.y))}L${path(ends, () => bottom)}Z`;
      group.append(coloured(svg('path', { d, class: 'area' }), 'fill', series.colour));
    }
    const banded = piece.filter((point) => Number.isFinite(point.sd));
    if (banded.length > 1 && !series.apart) {
      const above = path(banded, (p) => y.clamped(p.y + p.sd));
      const below = path([...banded].reverse(), (p) => y.clamped(p.y - p.sd));
      const d = `M${above}L${below}Z`;
      group.append(coloured(svg('path', { d, class: 'band' }), 'fill', series.colour));
    } else
      for (const p of banded) {
        const at = x.map(p.x);
        const bar = svg('line', {
          x1: at,
          x2: at,
          y1: y.clamped(p.y - p.sd),
          y2: y.clamped(p.y + p.sd),
          'stroke-width': 1.5,
        });
        group.append(coloured(bar, 'stroke', series.colour));
      }
    if (piece.length > 1 && !series.apart) {
      const d = `M${path(piece, (p) => y.map(p.y))}`;
      const line = svg('path', {
        d,
        class: series.level ? 'level' : 'line',
        'stroke-width': series.level ? null : series.thin ? 1.2 : 1.9,
        'stroke-dasharray': series.dash,
      });
      group.append(coloured(line, 'stroke', series.colour));
    }
    if (series.dots || piece.length === 1 || series.apart)
      for (const p of piece)
        group.append(
          coloured(
            svg('circle', { cx: x.map(p.x), cy: y.map(p.y), r: 3.4, class: 'dot' }),
            'fill',
            series.colour,
          ),
        );
  }
  return group;
}

// A dashed line through the points of each `line`, and a short mark where it has only one.
function truthLines(points, x, y, right) {
  const lines = new Map();
  for (const point of [...points].sort((a, b) => a.x - b.x))
    lines.set(point.line, [...(lines.get(point.line) || []), point]);
  const found = new Map(); // lines that lie on each other are drawn once
  for (const line of lines.values()) {
    const places = line.map((point) => `${x.map(point.x)},${y.map(point.y)}`);
    const [{ x: first, y: level }] = line;
    const d = line.length > 1 ? `M${places.join('L')}` : `M${x.map(first) - 9},${y.map(level)}h18`;
    found.set(d, y.map(line[line.length - 1].y));
  }
  const named = [];
  for (const at of found.values()) if (named.every((other) => Math.abs(other - at) >= 12)) named.push(at);
  return [
    ...[...found.keys()].map((d) => svg('path', { d, class: 'truth' })),
    ...named.map((at) => svg('text', { x: right + 5, y: at + 4, class: 'title' }, 'k*')),
  ];
}

function truth(spec, { x, y, left, right, top, bottom }) {
  const group = svg('g', { 'aria-hidden': 'true' });
  const points = (spec.truth || []).filter((point) => !spec.y.log || point.y > 0);
  const levels = [...new Set(points.map((point) => point.y))];
  if (levels.length === 1 || spec.levels)
    for (const level of levels) {
      const at = y.map(level);
      group.append(
        svg('line', { x1: left, x2: right, y1: at, y2: at, class: 'truth' }),
        svg('text', { x: right + 5, y: at + 4, class: 'title' }, `k* = ${number(level)}`),
      );
    }
  else if (points.length) group.append(...truthLines(points, x, y, right));
  for (const { y: level, label } of spec.across || []) {
    const at = y.map(level);
    group.append(
      svg('line', { x1: left, x2: right, y1: at, y2: at, class: 'truth' }),
      svg('text', { x: right, y: at - 5, class: 'title', 'text-anchor': 'end' }, label),
    );
  }
  for (const mark of spec.upright || []) {
    const { x: place, label } = typeof mark === 'number' ? { x: mark, label: `k* = ${number(mark)}` } : mark;
    if (place < x.low || place > x.high) continue;
    const at = x.map(place);
    const beyond = at > (left + right) / 2; // the label would not fit on the right
    group.append(
      svg('line', { x1: at, x2: at, y1: top, y2: bottom, class: 'truth' }),
      svg(
        'text',
        { x: beyond ? at - 5 : at + 5, y: top + 9, class: 'title', 'text-anchor': beyond ? 'end' : null },
        label,
      ),
    );
  }
  return group;
}

// The values at one place, by pointer or arrow keys.
function readout(host, box, spec, plan) {
  const { x, y, top, bottom, places } = plan;
  const crosshair = svg('g', { class: 'crosshair', 'aria-hidden': 'true' });
  const tooltip = html('div', { class: 'tooltip', role: 'status', hidden: true });
  const index = spec.series.map((series) => new Map(series.points.map((point) => [point.x, point])));
  let at = null;
  const hide = () => {
    at = null;
    tooltip.hidden = true;
    crosshair.replaceChildren();
  };
  const show = (place) => {
    if (place === at) return;
    at = place;
    const value = places[place];
    const rows = spec.series
      .map((series, i) => ({ series, point: index[i].get(value) }))
      .filter(({ series, point }) => !series.level && point && point.y !== null)
      .sort((a, b) => b.point.y - a.point.y);
    const line = svg('line', { x1: x.map(value), x2: x.map(value), y1: top, y2: bottom });
    const dots = rows
      .filter(({ point }) => !spec.y.log || point.y > 0)
      .map(({ series, point }) =>
        coloured(
          svg('circle', { cx: x.map(value) + (series.shift || 0), cy: y.map(point.y), r: 4, class: 'dot' }),
          'fill',
          series.colour,
        ),
      );
    crosshair.replaceChildren(line, ...dots);
    const more = rows.length - MOST_IN_TOOLTIP;
    tooltip.replaceChildren(
      html(
        'strong',
        {},
        spec.x.categories ? spec.x.categories[value] : `${spec.x.short || spec.x.label} ${number(value, 8)}`,
      ),
      html(
        'table',
        {},
        ...rows.slice(0, MOST_IN_TOOLTIP).map(({ series, point }) => {
          const [mean, spread] = withCount(point);
          return html(
            'tr',
            {},
            html('td', {}, html('span', { class: 'key' }, swatch(series), series.label)),
            html('td', {}, mean, html('small', {}, spread)),
          );
        }),
      ),
      ...(more > 0 ? [html('small', {}, `and ${more} more`)] : []),
    );
    tooltip.hidden = false;
    const room = x.map(value) > host.clientWidth / 2;
    tooltip.style.left = room
      ? `${Math.max(0, x.map(value) - tooltip.offsetWidth - 14)}px`
      : `${Math.max(0, Math.min(x.map(value) + 14, host.clientWidth - tooltip.offsetWidth))}px`;
  };
  const nearest = (pixel) =>
    places.reduce(
      (best, value, i) => (Math.abs(x.map(value) - pixel) < Math.abs(x.map(places[best]) - pixel) ? i : best),
      0,
    );
  const follow = (event) => show(nearest(event.clientX - box.getBoundingClientRect().left));
  fill(
    box,
    {
      onpointermove: follow,
      onpointerdown: follow,
      onpointerleave: hide,
      onblur: hide,
      onkeydown: (event) => {
        const last = places.length - 1;
        const steps = { ArrowLeft: (at ?? 1) - 1, ArrowRight: (at ?? -1) + 1, Home: 0, End: last };
        if (event.key === 'Escape') hide();
        else if (event.key in steps) {
          show(Math.min(Math.max(steps[event.key], 0), last));
          event.preventDefault();
        }
      },
    },
    [],
  );
  box.append(crosshair);
  host.append(tooltip);
}
