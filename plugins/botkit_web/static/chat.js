// What the page does in the browser by itself: keys, clicks, scrolling, the theme.
// Everything else happens on the server; events go there by NiceGUI's emitEvent.

window.botkit = (() => {
  const THEMES = ["auto", "light", "dark"];
  const NEAR_PX = 90;
  let follows = true;

  const one = (selector) => document.querySelector(selector);
  const chat = () => one(".chat");
  const say = () => one("textarea.say");
  const scroll = () => one(".scroll");
  const isBusy = () => chat().classList.contains("busy");
  const room = () => chat().dataset.room;
  const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

  function newId() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  // A message is kept here until the server has it, so that a lost connection loses no words.
  const pending = {
    get: () => JSON.parse(sessionStorage.getItem("botkit-pending") || "null"),
    set: (message) => sessionStorage.setItem("botkit-pending", JSON.stringify(message)),
    clear: () => sessionStorage.removeItem("botkit-pending"),
  };

  function keepDraft() {
    sessionStorage.setItem("botkit-draft", say().value);
    fit();
  }

  function fit() {
    const area = say();
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, innerHeight * 0.4)}px`;
    chat().classList.toggle("has-text", area.value.trim() !== "");
  }

  function put(text) {
    say().value = text;
    keepDraft();
    say().focus();
  }

  function send() {
    const text = say().value;
    const isStop = text.trim().toLowerCase() === "/stop";
    if (!text.trim() || pending.get() || (isBusy() && !isStop)) return;
    const message = { text, id: newId(), room: room() };
    pending.set(message);
    put("");
    follows = true;
    emitEvent("chat_send", message);
  }

  // The server tells by attributes of the page what became of a message.
  function settle() {
    const message = pending.get();
    if (message === null) return;
    if (message.id === chat().dataset.taken) {
      pending.clear();
      if (location.pathname === "/") history.replaceState(null, "", `/c/${message.room}`);
    } else if (message.id === chat().dataset.refused) {
      pending.clear();
      if (!say().value) put(message.text);
    }
  }

  function open(id, { push = true } = {}) {
    if (push) history.pushState(null, "", id ? `/c/${id}` : "/");
    chat().classList.remove("side-open");
    follows = true;
    emitEvent("chat_open", id);
    if (matchMedia("(hover: hover)").matches) say().focus();
  }

  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without TLS there is no clipboard but the old one.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1400);
  }

  function applyTheme(theme) {
    document.documentElement.dataset.theme = theme;
    const button = one(".theme");
    if (button) button.title = `Colours: ${theme}`;
  }

  function nextTheme() {
    const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    localStorage.setItem("botkit-theme", theme);
    applyTheme(theme);
  }

  function notify(words) {
    one(".notice")?.remove();
    const notice = document.createElement("div");
    notice.className = "notice";
    notice.setAttribute("role", "alert");
    notice.textContent = words;
    document.body.append(notice);
    setTimeout(() => notice.remove(), 6000);
  }

  function toEnd(behavior = "auto") {
    scroll().scrollTo({ top: scroll().scrollHeight, behavior });
  }

  const doings = {
    send,
    stop: () => emitEvent("chat_stop"),
    again: () => {
      follows = true;
      emitEvent("chat_again");
    },
    new: () => open(""),
    open: (button) => open(button.dataset.room),
    side: () => chat().classList.add("side-open"),
    "close-side": () => chat().classList.remove("side-open"),
    theme: nextTheme,
    down: () => {
      follows = true;
      toEnd("smooth");
    },
    idea: (button) => {
      put(button.textContent);
      send();
    },
    copy: (button) => copy(button.closest(".answer").querySelector(".body").innerText, button),
  };

  function onClick(event) {
    const copyCode = event.target.closest(".copy-code");
    if (copyCode) return copy(copyCode.closest(".code").querySelector("code").innerText, copyCode);
    const doing = event.target.closest("[data-do]");
    if (doing) {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return undefined;
      event.preventDefault();
      return doings[doing.dataset.do](doing);
    }
    const link = event.target.closest(".body a[href]");
    if (link) {
      event.preventDefault();
      window.open(link.href, "_blank", "noopener,noreferrer");
    }
    return undefined;
  }

  function onKey(event) {
    if (event.target === say() && event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape") {
      chat().classList.remove("side-open");
    } else if (event.key === "k" && (isMac ? event.metaKey : event.ctrlKey)) {
      event.preventDefault();
      open("");
    }
  }

  function onScroll() {
    const left = scroll().scrollHeight - scroll().scrollTop - scroll().clientHeight;
    follows = left < NEAR_PX;
    chat().classList.toggle("scrolled-up", !follows);
  }

  function begin() {
    document.addEventListener("click", onClick);
    document.addEventListener("keydown", onKey);
    say().addEventListener("input", keepDraft);
    scroll().addEventListener("scroll", onScroll, { passive: true });
    const follow = () => follows && toEnd();
    new MutationObserver(follow).observe(scroll(), { childList: true, subtree: true, characterData: true });
    new ResizeObserver(follow).observe(scroll());
    new MutationObserver(settle).observe(chat(), { attributes: true });
    one("select.models").addEventListener("change", (event) => emitEvent("chat_model", event.target.value));
    addEventListener("popstate", () => open(location.pathname.replace(/^\/c\/|^\//, ""), { push: false }));
    applyTheme(document.documentElement.dataset.theme);
    toEnd();
    const unsent = pending.get();
    if (unsent && location.pathname !== `/c/${unsent.room}`) {
      location.replace(`/c/${unsent.room}`);
      return;
    }
    if (unsent) emitEvent("chat_send", unsent);
    // Whoever was quicker than the page has typed already.
    if (!say().value) say().value = sessionStorage.getItem("botkit-draft") || "";
    fit();
    if (matchMedia("(hover: hover)").matches) say().focus();
    chat().classList.add("ready");
  }

  const waiting = new MutationObserver(() => {
    if (!say() || !one(".thread") || !window.socket) return;
    waiting.disconnect();
    begin();
  });
  waiting.observe(document.documentElement, { childList: true, subtree: true });

  return { notify };
})();
