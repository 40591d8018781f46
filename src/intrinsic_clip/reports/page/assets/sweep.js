// Final numbers over a setting that differs, in panels whose metric can be chosen.

const FIRST = ['id/mle', 'id/twonn', 'matching/top_1', 'temperature', 'loss', 'information/infonce_bound'];

function sweep() {
  if (groups.length < 2) return place('sweep').remove();
  const state = { key: data.axes[0] || null, log: false };
  const ids = families.map((family) => family.id);
  const chosen = [...FIRST.filter((id) => ids.includes(id)), ...ids.filter((id) => !FIRST.includes(id))];
  const panels = chosen.slice(0, 4).map((id) => addPanel(id, state));
  const set = (change) => {
    Object.assign(state, change);
    const combined = combinations(state.key);
    const keys = combined.map(({ label }, i) => ({ label, colour: `var(--s${i})` }));
    place('sweep-legend').replaceChildren(...(combined.length > 1 ? legend(keys) : []));
    for (const panel of panels) drawPanel(panel, state);
  };
  const over = data.axes.map((key) => [key, key]);
  const controls = place('sweep-controls');
  if (over.length > 1) controls.append(select('Over', over, state.key, (key) => set({ key })));
  if (over.length) controls.append(tick('logarithmic horizontal axis', false, (log) => set({ log })));
  set({});
}

function addPanel(id, state) {
  const panel = { host: html('div'), family: null, log: false };
  const box = html('span');
  const pick = (next) => {
    panel.family = families.find((family) => family.id === next);
    panel.log = panel.family.log;
    const change = (log) => {
      panel.log = log;
      drawPanel(panel, state);
    };
    const named = { 'aria-label': `Logarithmic axis of ${panel.family.title}` };
    box.replaceChildren(tick('log', panel.log, change, named));
    drawPanel(panel, state);
  };
  const metric = select('Metric of this panel', choices(families), id, pick, true);
  place('sweep-panels').append(
    html('figure', {}, html('div', { class: 'panel-head' }, metric, box), panel.host),
  );
  pick(id);
  return panel;
}

// Groups that differ only in the setting along the axis.
function combinations(key) {
  const others = data.differing.filter((setting) => setting.key !== key);
  const found = new Map();
  groups.forEach((group, i) => {
    const label = others
      .filter((other) => other.key in group.settings)
      .map((other) => `${other.name} = ${group.settings[other.key]}`)
      .join(', ');
    if (!found.has(label)) found.set(label, { label, groups: [] });
    found.get(label).groups.push(i);
  });
  return key === null ? [{ label: '', groups: groups.map((_, i) => i) }] : [...found.values()];
}

function drawPanel({ host, family, log }, { key, log: logX }) {
  const combined = combinations(key);
  const x = (group) => (key === null ? group : groups[group].settings[key]);
  const series = combined.flatMap(({ label, groups: of }, i) =>
    family.lines.map((line, j) => ({
      label: [label, line.label].filter(Boolean).join(' · ') || family.short,
      colour: combined.length > 1 ? `var(--s${i})` : lineColour(family, j),
      dash: lineDash(j),
      dots: true,
      apart: key === null,
      shift: key === null ? 8 * (j - (family.lines.length - 1) / 2) : 0,
      points: of.map((group) => ({ x: x(group), ...final(line.metric, group) })).sort((a, b) => a.x - b.x),
    })),
  );
  const shape =
    family.lines.length > 1
      ? family.lines.map((line, j) => ({
          label: line.label,
          colour: combined.length > 1 ? 'var(--muted)' : lineColour(family, j),
          dash: lineDash(j),
        }))
      : [];
  const box = html('div');
  host.replaceChildren(html('div', { class: 'legend' }, ...legend(shape)), box);
  chart(box, {
    label: `${family.title} over ${key || 'the settings'}`,
    x:
      key === null
        ? {
            label: data.differing.map((setting) => setting.name).join(' · '),
            categories: groups.map((group) => group.short),
          }
        : {
            label: key === 'encoder.output_dim' ? 'output dimension d' : key,
            short: data.differing.find((setting) => setting.key === key).name + ' =',
            log: logX,
            whole: groups.every((_, group) => Number.isInteger(x(group))),
          },
    y: axisOf(family, log),
    series,
    truth: family.truth
      ? combined.flatMap(({ groups: of }, line) =>
          of
            .filter((group) => groups[group].shared_dim)
            .map((group) => ({ x: x(group), y: groups[group].shared_dim, line })),
        )
      : [],
  });
}
