// Search and filter the mistakes of a run, and collect those whose label is wrong. Texts are put in as text alone.
{
  const FIRST = 10, MORE = 50, MOST_PAIRS = 10;
  const FORMULA = /^ *[=+\-@\t\r\n＝＋－＠]/;  // by which a spreadsheet takes a cell for a formula
  const section = document.querySelector(".explorer");
  const { labels, slices, total, cut, rows } = JSON.parse(document.querySelector("script.explored").textContent);
  const all = rows.map(([example, text, pair, truth, predicted, probability, truthProbability, own]) => ({
    example, text, pair, truth, predicted, probability, truthProbability, own,
    searched: `${text}\n${pair ?? ""}`.normalize("NFKC").toLowerCase(),
  }));
  const named = name => section.querySelector(`[name="${name}"]`);
  const list = section.querySelector(".mistakes"), count = section.querySelector(".count");
  const collected = section.querySelector(".collected"), wrong = new Map();  // mistake -> number of the label it should have
  let found = [], shown = 0;

  const make = (tag, text = "", attributes = {}) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.textContent = text;
    return element;
  };
  const number = value => value.toLocaleString("en");
  const whole = share => share > 0.995 && share < 1 ? "> 99" : share > 0 && share < 0.005 ? "< 1" : Math.round(100 * share);
  const percent = share => `${whole(share)}\u00a0%`;
  const sure = share => share === null ? "" : ` (${percent(share)})`;
  const fill = (select, names) => names.forEach((name, value) => select.append(make("option", name, { value })));

  const card = mistake => {
    const item = make("li"), said = make("p", "", { className: "said" }), texts = [mistake.text, mistake.pair];
    const predicted = make("b"), truth = make("b");
    predicted.append(make("bdi", labels[mistake.predicted]));
    truth.append(make("bdi", labels[mistake.truth]));
    said.append("Said ", predicted, `${sure(mistake.probability)}, is `, truth, `${sure(mistake.truthProbability)}, row ${mistake.example} `);
    const choice = make("select");
    choice.setAttribute("aria-label", "It should be");
    fill(choice, labels);
    const button = make("button", "This label is wrong", { type: "button" });
    const update = () => {
      const should = wrong.get(mistake);
      button.setAttribute("aria-pressed", String(should !== undefined));
      button.textContent = should === undefined ? "This label is wrong" : "Label is wrong: should be";
      choice.hidden = should === undefined;
      choice.value = String(should ?? mistake.predicted);
    };
    button.addEventListener("click", () => {
      if (!wrong.delete(mistake)) wrong.set(mistake, mistake.predicted);
      update();
      tell();
    });
    choice.addEventListener("change", () => wrong.set(mistake, Number(choice.value)));
    said.append(button, " ", choice);
    item.append(said, ...texts.filter(text => text !== null).map(text => make("p", text, { dir: "auto" })));
    update();
    return item;
  };

  const show = () => {
    const until = Math.min(shown ? shown + MORE : FIRST, found.length);
    list.append(...found.slice(shown, until).map(card));
    shown = until;
    named("more").hidden = shown === found.length;
    named("more").textContent = `Show ${Math.min(MORE, found.length - shown)} more`;
  };

  const share = (name, otherwise) => {
    const { value, valueAsNumber } = named(name);
    return value === "" || Number.isNaN(valueAsNumber) ? otherwise : valueAsNumber / 100;
  };
  const is = (name, value) => named(name).value === "" || Number(named(name).value) === value;

  const filter = () => {
    const words = named("search").value.normalize("NFKC").toLowerCase().split(/\s+/).filter(Boolean);
    const low = share("low", 0), high = share("high", 1), slice = named("slice").value;
    found = all.filter(mistake =>
      is("true", mistake.truth) && is("predicted", mistake.predicted)
      && (slice === "" || mistake.own.includes(Number(slice)))
      && mistake.probability >= low && mistake.probability <= high
      && words.every(word => mistake.searched.includes(word)));
    const order = named("order").value;
    if (order === "unsure") found.reverse();
    if (order === "row") found.sort((a, b) => a.example - b.example);
    const of = all.length < total ? `the ${number(all.length)} surest of ${number(total)} mistakes` : `${number(total)} mistakes`;
    count.textContent = found.length === all.length ? `${of[0].toUpperCase()}${of.slice(1)}` : `${number(found.length)} of ${of}`;
    for (const cell of document.querySelectorAll(".matrix td[data-true]")) {
      const chosen = named("true").value === cell.dataset.true && named("predicted").value === cell.dataset.predicted;
      cell.classList.toggle("chosen", chosen);
      cell.firstElementChild.setAttribute("aria-pressed", String(chosen));
    }
    list.replaceChildren();
    shown = 0;
    show();
  };

  const clear = () => {
    for (const name of ["search", "true", "predicted", "slice"]) named(name).value = "";
    named("low").value = "0";
    named("high").value = "100";
  };

  const tell = () => {
    collected.hidden = wrong.size === 0;
    collected.firstElementChild.textContent = `${number(wrong.size)} ${wrong.size === 1 ? "label" : "labels"} marked as wrong; the list is lost when this page is closed.`;
  };

  const cell = value => {
    const text = String(value), safe = typeof value === "string" && FORMULA.test(text) ? `'${text}` : text;
    return `"${safe.replaceAll('"', '""')}"`;
  };
  const csv = () => {
    const pairs = all.some(mistake => mistake.pair !== null);
    const lines = [["row", "text", ...(pairs ? ["text_pair"] : []), "label", "prediction", "probability", "new_label"]];
    for (const [mistake, should] of wrong) {
      const texts = pairs ? [mistake.text, mistake.pair ?? ""] : [mistake.text];
      lines.push([mistake.example, ...texts, labels[mistake.truth], labels[mistake.predicted], mistake.probability, labels[should]]);
    }
    return `\ufeff${lines.map(line => line.map(cell).join(",")).join("\r\n")}\r\n`;
  };
  const download = () => {
    const address = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    const link = make("a", "", { href: address, download: "relabel.csv" });
    section.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };

  fill(named("true"), labels);
  fill(named("predicted"), labels);
  fill(named("slice"), slices);
  named("slice").closest("label").hidden = slices.length === 0;
  for (const name of ["search", "true", "predicted", "slice", "low", "high", "order"]) named(name).addEventListener("input", filter);
  named("clear").addEventListener("click", () => { clear(); filter(); });
  named("more").addEventListener("click", show);
  named("download").addEventListener("click", download);
  named("forget").addEventListener("click", () => { wrong.clear(); tell(); filter(); });

  const pairs = section.querySelector(".pairs");
  if (document.querySelector(".matrix")) {
    pairs.textContent = "A cell of the confusions above leads to its mistakes.";
  } else {  // too many classes for a table: the most frequent confusions lead to theirs
    const counted = new Map();
    for (const { truth, predicted } of all) {
      const key = `${truth} ${predicted}`;
      counted.set(key, (counted.get(key) ?? 0) + 1);
    }
    for (const [key, times] of [...counted].sort((a, b) => b[1] - a[1]).slice(0, MOST_PAIRS)) {
      const [truth, predicted] = key.split(" ");
      const button = make("button", "", { type: "button" });
      button.append(make("bdi", labels[truth]), " taken for ", make("bdi", labels[predicted]), ` (${number(times)})`);
      button.addEventListener("click", () => {
        clear();
        named("true").value = truth;
        named("predicted").value = predicted;
        filter();
      });
      pairs.append(button);
    }
  }

  // A cell of the confusions leads to its mistakes.
  for (const cell of document.querySelectorAll(".matrix td[data-true]")) {
    const button = make("button", "", { type: "button", title: "Show these mistakes" });
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const again = cell.classList.contains("chosen");
      clear();
      if (!again) {
        named("true").value = cell.dataset.true;
        named("predicted").value = cell.dataset.predicted;
      }
      filter();
      if (!again) section.scrollIntoView({ block: "start" });
    });
  }

  if (all.some(({ text, pair }) => text.length >= cut || (pair ?? "").length >= cut)) {
    count.after(make("p", `Texts over ${number(cut)} characters are cut; the row says which they are in the source's own split.`, { className: "said" }));
  }
  filter();
  section.hidden = false;
  document.querySelector(".without-script").hidden = true;
}
