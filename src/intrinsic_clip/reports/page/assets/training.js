// Curves over training, and the switches that choose the groups shown there and below.

const on = new Set(trainings.map((_, i) => i));
const listeners = [];
const changed = () => listeners.forEach((listener) => listener());
const groupsOn = () =>
  groups.map((_, group) => group).filter((group) => members[group].some((i) => on.has(i)));
const groupColour = (group) => (groups.length > 1 ? `var(--g${group})` : 'var(--x)');

function switches() {
  const boxes = [];
  const refresh = () =>
    boxes.forEach(({ box, of }) => {
      const count = of.filter((i) => on.has(i)).length;
      box.checked = count > 0;
      box.indeterminate = count > 0 && count < of.length;
    });
  const toggle = (of, checked) => {
    of.forEach((i) => (checked ? on.add(i) : on.delete(i)));
    refresh();
    changed();
  };
  const box = (words, of, extra) => {
    const label = tick(words, true, (checked) => toggle(of, checked), extra);
    boxes.push({ box: label.firstChild, of });
    return label;
  };
  const all = trainings.map((_, i) => i);
  const rows = groups.map((group, g) => {
    const own = box(
      html('span', { class: 'key' }, swatch({ colour: groupColour(g) }), group.label),
      members[g],
      { 'data-group': g },
    );
    const each = members[g].map((i) => box(trainings[i].label, [i], { 'data-training': i }));
    return html(
      'details',
      { class: each.length > 1 ? null : 'lone', open: groups.length === 1 },
      html('summary', { title: each.length > 1 ? 'Repetitions' : null }, own),
      html('div', {}, ...(each.length > 1 ? each : [])),
    );
  });
  place('switches').append(
    ...(all.length > 1
      ? [
          html(
            'div',
            { class: 'all' },
            html('button', { type: 'button', onclick: () => toggle(all, true) }, 'All'),
            html('button', { type: 'button', onclick: () => toggle(all, false) }, 'None'),
          ),
        ]
      : []),
    ...rows,
  );
}

// The chart, its controls and their state: the family of metrics, which of its lines are hidden, the kinds of axes,
// and whether each repetition has a curve of its own.
function training() {
  const { curves, points } = data.trajectories;
  const charted = families.filter((family) => family.lines.some((line) => curves[line.metric]));
  if (!charted.length) {
    place('training').append(html('p', { class: 'remark' }, 'These runs have no metrics over training.'));
    return;
  }
  const state = { family: null, log: false, logX: false, each: false, hidden: new Set() };
  const redraw = () => drawTraining(state);
  const set = (change) => {
    Object.assign(state, change);
    redraw();
  };
  const lines = html('span', { class: 'choice' });
  const log = html('span');
  const pick = (id) => {
    const family = charted.find((one) => one.id === id);
    state.hidden.clear();
    log.replaceChildren(
      tick('log values', family.log, (checked) => set({ log: checked }), { id: 'log-values' }),
    );
    lines.replaceChildren(...lineSwitches(family, state.hidden, redraw));
    set({ family, log: family.log });
  };
  place('training-controls').append(
    select('Metric', choices(charted), charted[0].id, pick),
    lines,
    ...(groups.some((group) => group.repetitions > 1) ? [modes((each) => set({ each }))] : []),
    log,
    tick('log steps', false, (checked) => set({ logX: checked })),
  );
  const held = points
    ? `Curves are thinned to at most ${points} points, every n-th of those in metrics.csv`
    : 'All points that metrics.csv holds';
  place('training-remark').textContent =
    `${held}, with 5 digits. A mean of fewer repetitions than are shown says so where it is read out. The switches also apply to the sections below.`;
  listeners.push(redraw);
  pick(charted[0].id);
}

function lineSwitches(family, hidden, redraw) {
  if (family.lines.length < 2) return [];
  return family.lines.map(({ label }, j) =>
    tick(
      html('span', { class: 'key' }, swatch({ colour: 'var(--ink)', dash: lineDash(j) }), label),
      true,
      (shown) => {
        hidden[shown ? 'delete' : 'add'](label);
        redraw();
      },
    ),
  );
}

function modes(change) {
  const mode = (value, words, checked) => {
    const onchange = () => change(value === 'each');
    return html('label', {}, html('input', { type: 'radio', name: 'mode', value, checked, onchange }), words);
  };
  const attributes = { class: 'choice', role: 'radiogroup', 'aria-label': 'Repetitions' };
  return html('span', attributes, mode('mean', 'mean ± sd', true), mode('each', 'each repetition', false));
}

function drawTraining(state) {
  const { family, log, logX } = state;
  const shown = groupsOn();
  const known = shown.map((group) => groups[group].shared_dim).filter(Boolean);
  chart(place('training'), {
    label: `${family.title} over training`,
    height: 430,
    x: { label: 'training step', short: 'step', log: logX, tight: true, whole: true },
    y: axisOf(family, log),
    series: shown.flatMap((group) => family.lines.flatMap((line, j) => curvesOf(group, line, j, state))),
    levels: true,
    truth: family.truth ? known.map((y) => ({ x: 0, y })) : [],
  });
}

// The curves of one line of a group: the mean, or each repetition that is switched on.
function curvesOf(group, line, j, { family, each, hidden }) {
  const { curves, grids } = data.trajectories;
  const here = members[group].filter((i) => on.has(i));
  const of = here.filter((i) => curves[line.metric]?.[i]);
  if (hidden.has(line.label) || !of.length) return [];
  const style = { colour: groupColour(group), dash: lineDash(j) };
  const named = (...words) => words.filter(Boolean).join(' · ') || family.short;
  const setting = groups.length > 1 ? groups[group].label : '';
  if (!each) {
    const several = of.map((i) => curves[line.metric][i]);
    const points = meanCurve(several, grids).map((point) => ({ ...point, of: here.length }));
    return [{ ...style, label: named(setting, line.label), points }];
  }
  return of.map((i) => ({
    ...style,
    thin: of.length > 1,
    label: named(setting, line.label, trainings[i].label),
    points: curve(curves[line.metric][i], grids),
  }));
}

const curve = ([grid, values], grids) => grids[grid].map((x, i) => ({ x, y: values[i] }));

// The mean is over the steps that all repetitions have: runs with more replicates log fewer steps.
function meanCurve(several, grids) {
  const maps = several.map(([grid, values]) => new Map(grids[grid].map((step, i) => [step, values[i]])));
  return grids[several[0][0]]
    .filter((step) => maps.every((map) => map.has(step)))
    .map((step) => ({ x: step, ...mean(maps.map((map) => map.get(step))) }));
}
