"""The looks of the report: style and script of one page that needs no network and prints well."""

STYLE = """
:root { --ink:#1d2733; --soft:#5b6877; --line:#dfe4ea; --paper:#fff; --ground:#f4f6f8;
  --pass:#1f8e4a; --fail:#cf2f2f; --cannot:#b7690b; --accent:#1769aa; }
* { box-sizing:border-box; }
body { margin:0; background:var(--ground); color:var(--ink);
  font:14px/1.45 system-ui,"Segoe UI",Roboto,"Helvetica Neue","Liberation Sans",Arial,sans-serif; }
main { max-width:1680px; margin:0 auto; padding:24px 28px 60px; }
h1 { font-size:25px; margin:0 0 2px; letter-spacing:-.01em; } h2 { font-size:16px; margin:0 0 10px; }
.sub { color:var(--soft); margin:0 0 18px; } code, .mono { font-family:ui-monospace,Menlo,"DejaVu Sans Mono",monospace;
  font-size:12px; }
.card { background:var(--paper); border:1px solid var(--line); border-radius:10px; padding:16px 18px; }
.loss { border-color:#e5b45d; background:#fff8ea; margin-bottom:16px; } .loss b { color:#8a5200; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(425px,1fr)); gap:16px; margin-bottom:16px; }
.tallies { display:flex; gap:10px; margin-bottom:12px; }
.tally { flex:1; border-radius:8px; color:#fff; padding:8px 12px; white-space:nowrap; font-size:12.5px; }
.tally b { display:block; font-size:25px; line-height:1.1; }
.PASS { background:var(--pass); } .FAIL { background:var(--fail); } .CANNOT_INSPECT { background:var(--cannot); }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; font-size:13px; }
th { text-align:left; font-weight:600; color:var(--soft); font-size:12px; }
td, th { white-space:nowrap; padding:3px 8px 3px 0; border-bottom:1px solid var(--line); vertical-align:top; }
td.n, th.n { text-align:right; } tr:last-child td { border-bottom:0; }
tr.total td { border-top:2px solid var(--line); font-weight:600; }
td.zero { color:#b6bec8; } td.good, td.bad { color:var(--pass); font-weight:600; } td.bad { color:var(--fail); }
.strip { display:flex; gap:2px; margin:0 0 16px; flex-wrap:wrap; }
.strip a { flex:1 0 8px; max-width:40px; height:22px; border-radius:3px; outline-offset:1px; }
.strip a.wrong { box-shadow:0 0 0 2px #fff inset, 0 0 0 2px #111; }
details { margin-bottom:16px; } summary { cursor:pointer; font-weight:600; }
pre { margin:10px 0 0; font-size:12px; overflow:auto; columns:3 340px; }
.filters { position:sticky; top:0; z-index:2; background:var(--ground); padding:8px 0; display:flex; gap:8px;
  align-items:center; flex-wrap:wrap; }
.filters button { font:inherit; border:1px solid var(--line); background:var(--paper); border-radius:99px;
  padding:4px 14px; cursor:pointer; } .filters button[aria-pressed=true] { background:var(--ink); color:#fff; }
.frame { margin-bottom:14px; scroll-margin-top:56px; padding:0; overflow:hidden; border-left:6px solid var(--line); }
.frame.is-PASS { border-left-color:var(--pass); } .frame.is-FAIL { border-left-color:var(--fail); }
.frame.is-CANNOT_INSPECT { border-left-color:var(--cannot); }
.head { display:flex; gap:12px; align-items:baseline; padding:10px 16px 6px; flex-wrap:wrap; }
.head .number { font-weight:700; font-size:16px; min-width:44px; } .badge { color:#fff; border-radius:5px;
  padding:2px 9px; font-weight:700; font-size:12px; letter-spacing:.02em; } .reason { font-weight:600; }
.head .right { margin-left:auto; color:var(--soft); font-size:12px; }
.truth { border:1px solid var(--line); border-radius:5px; padding:1px 8px; font-size:12px; }
.truth.wrong { border-color:var(--fail); color:var(--fail); font-weight:600; }
.words { padding:0 16px 8px; color:var(--soft); }
.pictures { display:grid; grid-template-columns:repeat(5,minmax(0,1fr)); gap:10px; padding:0 16px 6px; }
figure { margin:0; } figure img { width:100%; display:block; border-radius:5px; border:1px solid var(--line);
  cursor:zoom-in; } figcaption { font-size:12px; color:var(--soft); padding-top:2px; }
figcaption b { color:var(--ink); }
.figures { display:flex; gap:4px 30px; flex-wrap:wrap; padding:2px 16px 8px; font-size:12.5px; }
.figures table { width:auto; } .figures span b { font-weight:600; } .figures .k { color:var(--soft); }
.ramp { display:inline-block; width:46px; height:8px; border-radius:2px; margin:0 4px;
  background:linear-gradient(90deg,#fde725,#5ec962,#21918c,#3b528b,#440154); }
dialog, dialog:focus { outline:0; }
dialog { border:0; padding:0; background:none; max-width:96vw; max-height:96vh; }
dialog img { max-width:96vw;
  min-width:min(90vw,1100px); max-height:94vh; object-fit:contain; display:block; cursor:zoom-out; }
dialog::backdrop { background:rgba(15,20,28,.88); }
[hidden] { display:none !important; }
@media screen and (max-width:900px) { .pictures { grid-template-columns:repeat(2,minmax(0,1fr)); }
  main { padding:16px; } }
@media print { body { background:#fff; font-size:11px; } main { max-width:none; padding:0; } .filters { display:none; }
  .frame, .card { break-inside:avoid; } .cards { grid-template-columns:repeat(3,1fr); gap:8px; }
  .card { padding:8px 10px; } table, th { font-size:9px; } td, th { padding:2px 5px 2px 0; } .tally { font-size:9px; }
  .pictures { gap:5px; } .figures, figcaption { font-size:9px; } .tally b { font-size:18px; }
  * { -webkit-print-color-adjust:exact; print-color-adjust:exact; }
  @page { size:A4 landscape; margin:12mm; } }
"""

SCRIPT = """
const frames = [...document.querySelectorAll('.frame')], buttons = [...document.querySelectorAll('.filters button')];
for (const button of buttons) button.onclick = () => {
  for (const other of buttons) other.setAttribute('aria-pressed', String(other === button));
  for (const frame of frames) frame.hidden = !frame.matches(button.dataset.show);
};
const box = document.querySelector('dialog'), large = box.firstElementChild;
document.addEventListener('click', event => {
  const target = event.target;
  if (target.matches('figure img')) { large.src = target.src; large.alt = target.alt; box.showModal(); }
  else if (target === large || target === box) box.close();
});
"""


def page(title: str, head: str, rows_marker: str) -> tuple[str, str]:
    """Return what comes before and after the rows; ``head`` is the summary."""
    before = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style></head>\n'
        f'<body><main>\n{head}\n<section id="{rows_marker}">\n')
    after = f'</section></main>\n<dialog><img alt=""></dialog>\n<script>{SCRIPT}</script>\n</body></html>\n'
    return before, after
