'use strict';
// The page: takes the state from the stream, shows it, and says what is to be done.

const Words = {
  time(seconds) {
    if (seconds === 0) return '0 s';
    if (seconds < 1e-3) return `${(seconds * 1e6).toFixed(seconds < 1e-5 ? 1 : 0)} µs`;
    if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
    if (seconds < 100) return `${seconds.toFixed(1)} s`;
    const whole = Math.round(seconds);
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  },
  bytes(bytes) {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let at = 0;
    while (bytes >= 1024 && at < units.length - 1) { bytes /= 1024; at += 1; }
    return `${bytes.toFixed(at === 0 || bytes >= 100 ? 0 : 1)} ${units[at]}`;
  },
  number: (number) => Math.round(number).toLocaleString('en'),
  rate: (rate) => (rate >= 100 ? Words.number(rate) : rate.toFixed(1)),
};

const by = (id) => document.getElementById(id);
const phases = { idle: 'idle', running: 'running', paused: 'paused', stopping: 'stopping', done: 'done' };
let state = null;
let last = 0;
const since = Date.now();
let isOver = false;

// --- what is shown ---

const figures = new Map();
function figure(name, value, more) {
  let parts = figures.get(name);
  if (!parts) {
    const box = document.createElement('div');
    const [term, text] = [document.createElement('dt'), document.createElement('dd')];
    term.textContent = name;
    text.append(document.createElement('span'), ' ', document.createElement('small'));
    box.append(term, text);
    by('figures').append(box);
    parts = { box, text };
    figures.set(name, parts);
  }
  parts.box.hidden = value === null;
  if (value === null) return;
  parts.text.firstChild.textContent = value;
  parts.text.lastChild.textContent = more ?? '';
}

function show(frame) {
  state = frame;
  const isDownload = frame.can.includes('add') || frame.bytes > 0;
  if (frame.can.includes('add')) {
    // What somebody pasted here is what he wants to see.
    const [lists, first] = [by('lists'), document.querySelector('main section')];
    if (lists !== first) first.before(lists);
  }
  document.title = `${frame.title} – hands`;
  by('title').textContent = frame.title;
  by('phase').textContent = phases[frame.phase] ?? frame.phase;
  by('phase').className = `phase ${frame.phase}`;
  const whole = by('whole');
  if (frame.total) whole.value = frame.finished / frame.total;
  else if (frame.phase === 'done') whole.value = 1;
  else if (frame.phase === 'idle') whole.value = 0;
  else whole.removeAttribute('value');
  const of = !frame.total ? '' : ` of ${Words.number(frame.total)}`;
  const left = frame.total && frame.rate[1] > 0 && frame.phase === 'running'
    ? `, about ${Words.time((frame.total - frame.finished) / frame.rate[1])} left` : '';
  by('summary').textContent = `${Words.number(frame.finished)}${of} ended, ${Words.number(frame.failed)} failed, after ${Words.time(frame.elapsed)}${left}`;
  figure(isDownload ? 'Files a second' : 'Tasks a second', Words.rate(frame.rate[0]), `${Words.rate(frame.rate[1])} on average`);
  figure('Running', Words.number(frame.running), `of ${Words.number(frame.workers)} at once`);
  figure('Waiting', Words.number(frame.waiting), frame.retrying ? `${Words.number(frame.retrying)} to be tried again` : '');
  figure('Failed', Words.number(frame.failed));
  figure('Received', isDownload ? Words.bytes(frame.bytes) : null);
  figure('Time on the CPU', frame.cpu === null ? null : `${Math.round(frame.cpu * 100)} %`, 'the rest is waiting');
  const three = (times) => (times ? `90 %: ${Words.time(times[1])}, 99 %: ${Words.time(times[2])}` : '');
  figure('Run time, median', frame.ran ? Words.time(frame.ran[0]) : null, three(frame.ran));
  figure('Wait, median', frame.waited ? Words.time(frame.waited[0]) : null, three(frame.waited));
  by('sizing').textContent = frame.sizing;
  const notes = frame.lost ? [...frame.notes, `${Words.number(frame.lost)} events came too fast to be looked at; counts are right, the times and the timeline lack them`] : frame.notes;
  if (notes.join('\n') !== by('notes').dataset.shown) {
    by('notes').dataset.shown = notes.join('\n');
    by('notes').replaceChildren(...notes.map((note) => {
      const item = document.createElement('li');
      item.textContent = note;
      return item;
    }));
  }
  buttons(frame);
  Lists.update(frame);
  if (!document.hidden) draw();
}

function buttons(frame) {
  const isOn = (verb) => frame.can.includes(verb) && !isOver;
  const pause = by('pause');
  pause.hidden = !isOn('pause');
  pause.textContent = frame.phase === 'paused' ? 'Resume' : 'Pause';
  by('stop').hidden = !isOn('stop');
  by('retry').hidden = !isOn('retry_failed');
  by('retry').disabled = frame.lists.failed === 0;
  by('add').hidden = !isOn('add');
}

// --- charts ---

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const charts = [];
// Half a task is none.
const whole = Array.from({ length: 28 }, (_, n) => [1, 2, 5][n % 3] * 10 ** Math.floor(n / 3));
function chart(id, series, value, incrs) {
  const place = by(id);
  const axis = { stroke: () => color('--quiet'), grid: { stroke: () => color('--line'), width: 1 }, ticks: { stroke: () => color('--line'), width: 1 } };
  const options = {
    width: Math.max(200, place.clientWidth), height: 180,
    scales: { x: { time: false } },
    cursor: { y: false },
    axes: [{ ...axis, values: (_, all) => all.map((at) => Words.time(at)), space: 80 }, { ...axis, size: 64, values: (_, all) => all.map(value), ...(incrs ? { incrs } : {}) }],
    series: [{ label: 'after', value: (_, at) => (at === null ? '' : Words.time(at)) },
      ...series.map(([label, name, isFilled]) => ({
        label, stroke: () => color(name), width: 2, points: { show: false },
        fill: isFilled ? () => `${color(name)}33` : undefined, value: (_, at) => (at === null ? '' : value(at)),
      }))],
  };
  const made = new uPlot(options, [[0], ...series.map(() => [0])], place);
  new ResizeObserver(() => made.setSize({ width: Math.max(200, place.clientWidth), height: 180 })).observe(place);
  charts.push(made);
  return made;
}
let rate = null;
let load = null;
const drawn = { charts: -9, lanes: -9 };
function draw(isForced) {
  if (!state) return;
  const lines = state.history;
  const isBytes = state.can.includes('add') || state.bytes > 0;
  if (!rate) {
    by('rate-name').textContent = isBytes ? 'Bytes a second' : 'Tasks a second';
    rate = chart('rate', [[isBytes ? 'bytes a second' : 'tasks a second', '--busy', true]], isBytes ? Words.bytes : Words.rate);
    load = chart('load', [['waiting', '--warn', true], ['running', '--busy', false]], Words.number, whole);
  }
  // A point is a second, and a column of the timeline half of one: drawing more often shows nothing.
  if (isForced || Math.abs(state.elapsed - drawn.charts) >= 0.9 || isOver) {
    drawn.charts = state.elapsed;
    rate.setData([lines.at, isBytes ? lines.bytes : lines.rate]);
    load.setData([lines.at, lines.waiting, lines.running]);
    if (by('numbers').open) numbers(lines);
  }
  if (isForced || Math.abs(state.elapsed - drawn.lanes) >= 0.4 || isOver) {
    drawn.lanes = state.elapsed;
    timeline(state);
  }
}

function numbers(lines) {
  by('points').replaceChildren(...lines.at.map((at, n) => {
    const line = document.createElement('tr');
    for (const text of [Words.time(at), Words.rate(lines.rate[n]), Words.number(lines.waiting[n]), Words.number(lines.running[n])]) {
      const cell = document.createElement('td');
      cell.textContent = text;
      line.append(cell);
    }
    return line;
  }));
}

function timeline(frame) {
  by('lanes').hidden = frame.lanes.length === 0;
  if (frame.lanes.length === 0) return;
  const canvas = by('timeline');
  const [each, margin, most] = [frame.lanes.length > 24 ? 8 : 16, frame.lanes.length > 24 ? 0 : 92, 120];
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, each * frame.lanes.length];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const on = canvas.getContext('2d');
  on.setTransform(ratio, 0, 0, ratio, 0, 0);
  on.clearRect(0, 0, width, height);
  on.font = '12px system-ui, sans-serif';
  on.textBaseline = 'middle';
  const [busy, bad, quiet, ground] = ['--busy', '--bad', '--quiet', '--raised'].map(color);
  const step = (width - margin) / most;
  frame.lanes.forEach(([name, cells], at) => {
    const top = at * each;
    if (margin) {
      on.globalAlpha = 1;
      on.fillStyle = quiet;
      on.fillText(name, 0, top + each / 2, margin - 6);
    }
    on.fillStyle = ground;
    on.globalAlpha = 1;
    on.fillRect(margin, top + 1, width - margin, each - 2);
    const first = most - cells.length;
    for (let n = 0; n < cells.length; n += 1) {
      const cell = cells[n];
      if (cell === '0') continue;
      on.globalAlpha = cell === 'x' ? 1 : 0.25 + 0.75 * (Number(cell) / 9);
      on.fillStyle = cell === 'x' ? bad : busy;
      on.fillRect(margin + (first + n) * step, top + 1, Math.max(1, step - 0.5), each - 2);
    }
  });
  on.globalAlpha = 1;
  const shares = frame.lanes.map(([, cells]) => cells.at(-2) ?? cells.at(-1));
  const active = shares.filter((cell) => cell !== '0').length;
  canvas.setAttribute('aria-label', `Which worker was busy when, in the last minute: ${active} of ${frame.lanes.length} lanes are busy now`);
}

// --- what is done ---

let newsUntil = 0;
function news(text, isGood) {
  // That it has ended is the last word.
  if (isOver) return;
  by('news').textContent = text;
  by('news').classList.toggle('good', Boolean(isGood));
  newsUntil = text ? Date.now() + 6000 : 0;
}

async function act(action, button) {
  if (button) button.disabled = true;
  try {
    const answer = await fetch('/act', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(action),
    });
    const kind = answer.headers.get('content-type') ?? '';
    const said = kind.includes('json') ? (await answer.json()).said : await answer.text();
    news(said, answer.ok);
    return answer.ok;
  } catch {
    news('The program does not answer.');
    return false;
  } finally {
    if (button) button.disabled = false;
  }
}
Lists.onAct(act);

function pause() { if (state) act({ do: state.phase === 'paused' ? 'resume' : 'pause' }, by('pause')); }
function retry() { act({ do: 'retry_failed' }, by('retry')); }
by('pause').addEventListener('click', pause);
by('retry').addEventListener('click', retry);
by('stop').addEventListener('click', () => by('stopping').showModal());
by('stopping').addEventListener('close', () => {
  const chosen = by('stopping').returnValue;
  by('stopping').returnValue = '';
  if (chosen === 'wait' || chosen === 'now') act({ do: 'stop', now: chosen === 'now' }, by('stop'));
});
by('about').addEventListener('click', () => by('about-text').showModal());
by('numbers').addEventListener('toggle', () => draw(true));
by('add').addEventListener('submit', async (event) => {
  event.preventDefault();
  const links = by('links').value;
  if (!links.trim()) { news('There is no link to download: paste one a line.'); by('links').focus(); return; }
  const button = by('download');
  if (await act({ do: 'add', links }, button)) by('links').value = '';
});
document.addEventListener('keydown', (event) => {
  const isText = event.target.closest('textarea, input, dialog');
  if (isText || event.ctrlKey || event.metaKey || event.altKey || !state) return;
  const isOn = (id) => !by(id).hidden && !by(id).disabled;
  if (event.key === 'p' && isOn('pause')) pause();
  else if (event.key === 'r' && isOn('retry')) retry();
  else if (event.key === 's' && isOn('stop')) by('stopping').showModal();
  else if (event.key === '?') by('about-text').showModal();
  else if ('1234'.includes(event.key)) Lists.choose(Number(event.key) - 1);
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) draw(true); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { charts.forEach((made) => made.redraw()); draw(true); });

// --- the stream: one for all tabs, as a browser opens no more than six to one server ---

const channel = 'BroadcastChannel' in window ? new BroadcastChannel('hands') : null;
let stream = null;
let wait = 1000;

function arrived(text) {
  last = Date.now();
  show(JSON.parse(text));
}
function over(text) {
  if (isOver) return;
  news('The program has ended. This is how it was.', true);
  isOver = true;
  const { frame, lists } = JSON.parse(text);
  Lists.over(lists);
  show(frame);
  if (stream) stream.close();
  if (frame.phase !== 'done') by('phase').textContent = 'ended';
}
function connect() {
  if (stream || isOver) return;
  const own = new EventSource('/events');
  stream = own;
  own.addEventListener('message', (event) => {
    wait = 1000;
    arrived(event.data);
    if (channel) channel.postMessage({ frame: event.data });
  });
  own.addEventListener('end', (event) => {
    if (channel) channel.postMessage({ end: event.data });
    over(event.data);
  });
  own.addEventListener('error', async () => {
    if (own.readyState !== EventSource.CLOSED || isOver) return;
    stream = null;
    try {
      const answer = await fetch('/state');
      if (answer.status === 401) {
        news('Open the link that the program has printed: this one is of an earlier start.');
        newsUntil = Infinity;
      }
    } catch { /* Nobody answers yet. */ }
    setTimeout(connect, wait);
    wait = Math.min(2 * wait, 10000);
  });
}
if (channel) {
  channel.addEventListener('message', ({ data }) => {
    if (data.end) over(data.end);
    else if (data.frame && !stream) arrived(data.frame);
  });
}
if (channel && navigator.locks) navigator.locks.request('hands-stream', () => { connect(); return new Promise(() => {}); });
else connect();

setInterval(() => {
  if (isOver) return;
  const silent = Date.now() - Math.max(last, since);
  if (newsUntil && Date.now() > newsUntil) news('');
  if (silent > 3000 && !document.hidden) {
    by('phase').textContent = last ? `no news for ${Math.round(silent / 1000)} s` : 'connecting';
    by('phase').className = 'phase lost';
    // Whoever has the stream sleeps, perhaps.
    if (silent > 4000 && !stream) connect();
  }
}, 1000);
