// A mark of a drawing tells what it shows: to a pointer, a finger and the keyboard. Those of its setup stand out.
{
  const NEAR = 14;  // pixels from the middle of a marker at which it is meant
  const tip = document.body.appendChild(Object.assign(document.createElement("div"), { className: "tip", hidden: true }));
  tip.setAttribute("aria-hidden", "true");  // a mark's label says the same
  let shown = null;

  const hide = () => {
    tip.hidden = true;
    if (shown === null) return;
    const svg = shown.closest("svg");
    svg.classList.remove("one");
    for (const same of svg.querySelectorAll(".same")) same.classList.remove("same");
    shown.classList.remove("meant");
    shown = null;
  };
  const show = (mark, x, y) => {
    if (mark !== shown) {
      hide();
      shown = mark;
      mark.classList.add("meant");
      tip.textContent = mark.getAttribute("aria-label");
      const of = mark.closest("[data-of]")?.dataset.of, svg = mark.closest("svg");
      if (of !== undefined) {
        const same = svg.querySelectorAll(`[data-of="${of}"]`);
        svg.classList.toggle("one", same.length < svg.querySelectorAll("[data-of]").length);
        for (const one of same) one.classList.add("same");
      }
    }
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect(), space = document.documentElement.clientWidth - width - 8;
    tip.style.left = `${Math.max(8, Math.min(x - width / 2, space))}px`;
    tip.style.top = `${y - height - 14 < 4 ? y + 18 : y - height - 14}px`;
  };

  const showAt = mark => {
    const box = mark.getBoundingClientRect();
    show(mark, (box.left + box.right) / 2, box.top);
  };

  for (const svg of document.querySelectorAll(".drawing svg")) {
    const marks = [...svg.querySelectorAll(".mark")], points = marks.filter(mark => mark.localName === "use");
    marks.forEach((mark, number) => {
      const title = mark.querySelector(":scope > title");
      mark.setAttribute("aria-label", title.textContent);
      mark.setAttribute("tabindex", number ? "-1" : "0");  // one stop for the tabulator; arrows lead to the others
      title.remove();  // the browser would show it too, later
    });
    const meant = event => {
      const { clientX: x, clientY: y } = event;
      let mark = event.target.closest(".mark"), least = NEAR;
      for (const point of mark === null || mark.localName !== "use" ? points : []) {
        const box = point.getBoundingClientRect();
        const far = Math.hypot((box.left + box.right) / 2 - x, (box.top + box.bottom) / 2 - y);
        if (far < least) [mark, least] = [point, far];
      }
      if (mark === null) hide();
      else show(mark, x, y);
    };
    svg.addEventListener("pointermove", meant);
    svg.addEventListener("click", meant);
    svg.addEventListener("pointerleave", event => { if (event.pointerType !== "touch") hide(); });
    const region = svg.parentElement;  // an SVG that listens to the focus would get it
    region.addEventListener("focusin", event => {
      const mark = event.target.closest(".mark");
      if (mark !== null && mark.matches(":focus-visible")) showAt(mark);
    });
    region.addEventListener("focusout", hide);
    svg.addEventListener("keydown", event => {
      const at = marks.indexOf(document.activeElement), last = marks.length - 1;
      const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined || at < 0) return;
      event.preventDefault();
      const next = marks[Math.max(0, Math.min(to, last))];
      marks[at].setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus({ focusVisible: true });
    });
  }
  document.addEventListener("pointerdown", event => { if (event.target.closest(".drawing") === null) hide(); });
  const follow = () => {  // what has the focus may have been moved into sight
    if (shown !== null && shown === document.activeElement) showAt(shown);
    else hide();
  };
  addEventListener("scroll", follow, { passive: true, capture: true });
}
