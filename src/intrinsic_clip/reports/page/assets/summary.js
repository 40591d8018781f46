// The sortable table of all settings, and a CSV of all numbers.

// A column has name and title, the value to sort by, and the content of its cell: a text, and its spread.
function leadingColumns() {
  const settings = data.differing.map(({ key, name }) => ({
    name,
    title: key,
    setting: true,
    value: (group) => groups[group].settings[key],
    text: (group) => [key in groups[group].settings ? String(groups[group].settings[key]) : '–'],
  }));
  const label = (group) => groups[group].label;
  const run = { name: 'run', setting: true, value: label, text: (group) => [label(group)] };
  const count = (group) => groups[group].repetitions;
  const n = { name: 'n', title: 'repetitions', value: count, text: (group) => [String(count(group))] };
  return [...(settings.length ? settings : [run]), n];
}

function numberColumn(family, line) {
  const numbers = (group) => final(line.metric, group);
  return {
    name: family.lines.length > 1 ? line.label : family.short,
    title: `${family.title} ${line.label}`.trim(),
    value: (group) => numbers(group).y,
    text: (group) => withCount(numbers(group)),
  };
}

function summary() {
  const leading = leadingColumns();
  const blocks = families
    .filter((family) => family.main)
    .map((family) => ({ family, columns: family.lines.map((line) => numberColumn(family, line)) }));
  const columns = [...leading, ...blocks.flatMap((block) => block.columns)];
  const body = html('tbody');
  const fillBody = (order) => body.replaceChildren(...order.map((group) => tableRow(columns, group)));
  const heads = new Map();
  const sort = (column) => {
    const down = heads.get(column).getAttribute('aria-sort') === 'ascending';
    for (const cell of heads.values()) cell.removeAttribute('aria-sort');
    heads.get(column).setAttribute('aria-sort', down ? 'descending' : 'ascending');
    fillBody(sorted(column.value, down));
  };
  const sortable = (column, rowspan) => {
    const button = html('button', { type: 'button', onclick: () => sort(column) }, column.name);
    const attributes = { scope: 'col', class: column.setting && 'setting', title: column.title, rowspan };
    heads.set(column, html('th', attributes, button));
    return heads.get(column);
  };
  const top = html('tr', {}, ...leading.map((column) => sortable(column, 2)));
  const below = html('tr');
  for (const { family, columns: own } of blocks) {
    if (own.length === 1) top.append(sortable(own[0], 2));
    else {
      top.append(html('th', { scope: 'colgroup', colspan: own.length, title: family.title }, family.short));
      below.append(...own.map((column) => sortable(column)));
    }
  }
  place('table').append(html('thead', {}, top, below), body);
  fillBody(groups.map((_, group) => group));
  const count = plural(families.flatMap((family) => family.lines).length, 'number');
  place('table-remark').textContent =
    'Mean ± standard deviation over n repetitions, fewer where some have no number, on held-out pairs; ' +
    `ID is the intrinsic dimension. The CSV has all ${count} in full, and of how many repetitions each is.`;
  place('csv').addEventListener('click', () => download(`${data.name}.csv`, csv()));
}

function tableRow(columns, group) {
  const cells = columns.map((column) => {
    const [value, spread] = column.text(group);
    return html(
      'td',
      { class: column.setting && 'setting' },
      value,
      ...(spread ? [html('small', {}, spread)] : []),
    );
  });
  return html('tr', {}, ...cells);
}

// The groups by a value; those that have none come last.
function sorted(value, down) {
  const missing = (found) => found === null || found === undefined;
  return groups
    .map((_, group) => group)
    .sort((a, b) => {
      const [p, q] = [value(a), value(b)];
      if (missing(p) || missing(q)) return missing(p) - missing(q);
      return (p < q ? -1 : p > q ? 1 : 0) * (down ? -1 : 1);
    });
}

function csv() {
  const quoted = (value) => {
    const plain = value === null || value === undefined ? '' : String(value);
    const formula = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) && Number.isNaN(Number(value));
    const text = formula ? `'${plain}` : plain; // a spreadsheet takes it as text then
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const metrics = families.flatMap((family) => family.lines.map((line) => line.metric));
  const header = [
    ...data.differing.map(({ key }) => key),
    'repetitions',
    ...metrics.flatMap((metric) => [metric, `${metric}/std`, `${metric}/n`]),
  ];
  const rows = groups.map((group, i) => [
    ...data.differing.map(({ key }) => group.settings[key]),
    group.repetitions,
    ...metrics.flatMap((metric) => {
      const { y, sd, n } = final(metric, i);
      return [y, sd, n];
    }),
  ]);
  return [header, ...rows].map((row) => row.map(quoted).join(',')).join('\n') + '\n';
}

function download(name, text) {
  const link = html('a', {
    href: URL.createObjectURL(new Blob([text], { type: 'text/csv' })),
    download: name,
  });
  link.click();
  URL.revokeObjectURL(link.href);
}
