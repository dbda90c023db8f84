'use strict';
// The lists: only the rows that are on the screen exist, and only they are asked for.

const Lists = (() => {
  const panel = document.getElementById('list');
  const rows = document.getElementById('rows');
  const none = document.getElementById('none');
  const tabs = [...document.querySelectorAll('[role=tab]')];
  const words = {
    running: 'Nothing runs.', waiting: 'Nothing waits.',
    failed: 'Nothing has failed.', finished: 'Nothing has ended yet.',
  };
  let what = 'running';
  let sizes = {};
  let can = [];
  let seen = new Map();
  let isAsking = false;
  let isDue = false;
  let kept = null;
  let act = () => {};

  const height = () => (matchMedia('(max-width: 40rem)').matches ? 60 : 44);

  function choose(name, isFocused) {
    what = name;
    for (const tab of tabs) {
      const isIt = tab.dataset.list === name;
      tab.setAttribute('aria-selected', String(isIt));
      tab.tabIndex = isIt ? 0 : -1;
      if (isIt && isFocused) tab.focus();
    }
    panel.setAttribute('aria-labelledby', `tab-${name}`);
    panel.scrollTop = 0;
    seen.forEach((row) => row.remove());
    seen = new Map();
    ask();
  }

  async function ask() {
    if (kept) { show(kept[what]); return; }
    if (isAsking) { isDue = true; return; }
    isAsking = true;
    isDue = false;
    const asked = what;
    const from = Math.max(0, Math.floor(panel.scrollTop / height()) - 5);
    const count = Math.ceil(panel.clientHeight / height()) + 10;
    try {
      const answer = await fetch(`/list?what=${asked}&from=${from}&count=${count}`);
      if (answer.ok && asked === what) show(await answer.json());
    } catch { /* The stream says that nobody answers. */ }
    isAsking = false;
    if (isDue) ask();
  }

  function show({ total, from, rows: got }) {
    rows.style.height = `${(kept ? got.length : total) * height()}px`;
    none.textContent = total === 0 ? words[what] : '';
    const now = new Map();
    got.forEach((row, at) => {
      const key = `${what}-${row.id}`;
      const item = seen.get(key) ?? make(row);
      fill(item, row);
      item.style.top = `${(from + at) * height()}px`;
      item.setAttribute('aria-setsize', String(total));
      item.setAttribute('aria-posinset', String(from + at + 1));
      now.set(key, item);
    });
    for (const [key, item] of seen) {
      if (!now.has(key) && !item.contains(document.activeElement)) item.remove();
      else if (!now.has(key)) { document.activeElement.blur(); item.remove(); }
    }
    seen = now;
  }

  function element(kind, name, text) {
    const made = document.createElement(kind);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function make(row) {
    const item = element('li');
    const isLong = what === 'failed' || what === 'finished';
    const name = element(isLong ? 'button' : 'span', 'name');
    if (isLong) name.type = 'button';
    item.append(element('span', 'id', row.place ? `on ${row.place}` : `#${row.id}`), name, element('span', 'state'), element('span', 'do'));
    const buttons = item.lastChild;
    const button = (word, verb, action) => {
      if (!can.includes(verb)) return;
      const made = element('button', '', word);
      made.type = 'button';
      made.setAttribute('aria-label', `${word} ${row.id}: ${row.name}`);
      made.addEventListener('click', () => act({ do: action, id: row.id }, made));
      buttons.append(made);
    };
    if (what === 'running') button('Cancel', 'cancel', 'cancel');
    if (what === 'failed') button('Retry', 'retry', 'retry');
    if (what !== 'running') button('Remove', 'remove', 'remove');
    rows.append(item);
    return item;
  }

  function fill(item, row) {
    const [id, name, state] = item.children;
    if (row.place) id.textContent = `on ${row.place}`;
    if (name.textContent !== row.name) { name.textContent = row.name; name.title = row.name; }
    if (name.tagName === 'BUTTON') name.onclick = () => detail(row);
    state.classList.toggle('bad', what === 'failed');
    if (what === 'running' && row.received !== undefined) {
      let bar = state.querySelector('progress');
      if (!bar) {
        bar = element('progress');
        bar.max = 1;
        state.replaceChildren(bar, element('span'));
      }
      bar.setAttribute('aria-label', `How much of ${row.name} is there`);
      if (row.expected) bar.value = Math.min(1, row.received / row.expected); else bar.removeAttribute('value');
      const of = row.expected ? ` of ${Words.bytes(row.expected)}` : '';
      state.lastChild.textContent = `${Words.bytes(row.received)}${of}, ${Words.time(row.time)}`;
    } else {
      const parts = [];
      if (row.why) parts.push(row.why); else if (row.how) parts.push(row.how);
      if (row.received) parts.push(Words.bytes(row.received));
      if (row.time !== undefined) parts.push(Words.time(row.time));
      state.textContent = parts.join(', ');
    }
    state.title = state.textContent;
  }

  function detail(row) {
    document.getElementById('detail-name').textContent = row.place ? `On worker ${row.place}` : `Task ${row.id}`;
    const time = row.time === undefined ? '' : ` after ${Words.time(row.time)}`;
    document.getElementById('detail-why').textContent = `${row.why || row.how}${time}`;
    document.getElementById('detail-name-whole').textContent = row.name;
    document.getElementById('detail-tail').textContent = row.tail ?? '';
    document.getElementById('detail').showModal();
  }

  for (const [at, tab] of tabs.entries()) {
    tab.addEventListener('click', () => choose(tab.dataset.list));
    tab.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) choose(tabs[(at + step + tabs.length) % tabs.length].dataset.list, true);
    });
  }
  panel.addEventListener('scroll', ask, { passive: true });
  new ResizeObserver(ask).observe(panel);

  return {
    // The program has ended: this is what is left of it.
    over(lists) {
      kept = lists;
      can = [];
      seen.forEach((row) => row.remove());
      seen = new Map();
      ask();
    },
    choose: (at) => choose(tabs[at].dataset.list, true),
    onAct: (to) => { act = to; },
    update(frame) {
      const now = kept ? [] : frame.can;
      const isNew = now.join() !== can.join();
      can = now;
      for (const tab of tabs) {
        tab.lastElementChild.textContent = frame.lists[tab.dataset.list].toLocaleString('en');
      }
      if (isNew) { seen.forEach((row) => row.remove()); seen = new Map(); }
      const size = frame.lists[what];
      const isLive = what === 'running' || what === 'waiting';
      // A list that is full changes without growing.
      const hasMoved = size !== sizes[what] || (isLive ? size > 0 : frame.finished !== sizes.of);
      sizes = { ...frame.lists, of: frame.finished };
      if (isNew || hasMoved) ask();
    },
  };
})();
