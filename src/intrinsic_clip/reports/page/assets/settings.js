// Settings, those that differ first; runs; results that are left out.

const MOST_RUNS_OPEN = 20;

function settings() {
  const row = ({ key, values, differs }) =>
    html(
      'tr',
      { class: differs ? 'differs' : null },
      html('td', {}, key),
      html(
        'td',
        {},
        ...values.flatMap(([value, count], i) => [
          i ? ' · ' : '',
          value,
          ...(differs && values.length > 1 ? [html('small', {}, ` (${plural(count, 'run')})`)] : []),
        ]),
      ),
    );
  const table = (rows) =>
    html(
      'div',
      { class: 'scroll' },
      html('table', { class: 'settings' }, html('tbody', {}, ...rows.map(row))),
    );
  const different = data.settings.filter((setting) => setting.differs);
  const common = data.settings.filter((setting) => !setting.differs);
  const tops = [...new Set(common.map(({ key }) => (key.includes('.') ? key.split('.')[0] : 'run')))];
  const top = ({ key }) => (key.includes('.') ? key.split('.')[0] : 'run');
  place('settings-tables').append(
    ...(different.length ? [html('h3', {}, 'Settings that differ'), table(different)] : []),
    ...tops.map((name) =>
      html(
        'details',
        { class: 'group', open: tops.length < 2 },
        html('summary', {}, name),
        table(common.filter((setting) => top(setting) === name)),
      ),
    ),
  );
}

function runs() {
  const columns = {
    run: (run) => run.folder,
    trainings: (run) => run.trainings,
    seconds: (run) => number(run.seconds, 3),
    finished: (run) => run.date,
    commit: (run) => (run.versions.commit || '–').slice(0, 8),
  };
  place('runs-table').append(
    html(
      'thead',
      {},
      html('tr', {}, ...Object.keys(columns).map((name) => html('th', { scope: 'col' }, name))),
    ),
    html(
      'tbody',
      {},
      ...data.runs.map((run) =>
        html('tr', {}, ...Object.values(columns).map((value) => html('td', {}, String(value(run))))),
      ),
    ),
  );
  place('runs-list').open = data.runs.length <= MOST_RUNS_OPEN;
  place('runs-list').querySelector('summary').textContent = plural(data.runs.length, 'run');
  const lists = { 'Left out': data.left_out, 'Not measured': data.reasons, Notes: data.notes };
  for (const [title, lines] of Object.entries(lists))
    if (lines.length)
      place('notes').append(
        html('h3', {}, title),
        html('ul', {}, ...lines.map((line) => html('li', {}, line))),
      );
}
