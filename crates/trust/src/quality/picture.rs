//! The report's pictures as inline SVG. Colours are the page's own variables, so that they follow light, dark and print.

use std::fmt::Write;

use super::report::{AnomalyRecord, Flow, FlowNode};
use crate::numbers::grouped;

const LEFT: f64 = 240.0;
const RIGHT: f64 = 270.0;
const BAR: f64 = 12.0;
const TOP: f64 = 34.0;
const GAP: f64 = 9.0;

/// The distance of two layers: room for the longest name of a table.
const PITCH: f64 = 285.0;

/// A bar of the flow picture.
struct Bar {
    x: f64,
    y: f64,
    height: f64,
}

/// A way of being held back.
struct Held {
    name: &'static str,
    class: &'static str,
    of: fn(&FlowNode) -> u64,
}

/// In the order in which they lie in a bar from below.
const HELD: [Held; 3] = [
    Held { name: "Quarantined", class: "held", of: |node| node.quarantined },
    Held { name: "Duplicates", class: "twin", of: |node| node.duplicate },
    Held { name: "Filtered", class: "left", of: |node| node.filtered },
];

/// Bronze → silver → gold, and what was held back on the way.
pub(crate) fn flow(flow: &Flow) -> String {
    if flow.nodes.is_empty() {
        return String::new();
    }
    let most = flow.nodes.iter().map(whole).max().unwrap_or(1).max(1) as f64;
    let collectors: Vec<(usize, u64)> = HELD
        .iter()
        .enumerate()
        .map(|(i, held)| (i, flow.nodes.iter().map(held.of).sum::<u64>()))
        .filter(|(_, rows)| *rows > 0)
        .collect();
    let (bars, tray, height) = layout(flow, most, &collectors);
    let width = layer_x(flow.layers.len().max(2) - 1) + BAR + RIGHT;
    let mut svg = format!(
        "<svg class=\"flow\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"Where the rows of each table went\">"
    );
    for (layer, name) in flow.layers.iter().enumerate() {
        let (_, anchor, x) = label(layer, flow, layer_x(layer));
        let _ =
            write!(svg, "<text class=\"layer\" x=\"{x:.1}\" y=\"14\" text-anchor=\"{anchor}\">{}</text>", escape(name));
    }
    links(flow, &bars, &mut svg);
    held(flow, &bars, &tray, &collectors, &mut svg);
    for (node, bar) in flow.nodes.iter().zip(&bars) {
        draw(node, bar, flow, &mut svg);
    }
    svg.push_str("</svg>");
    svg
}

/// The rows a bar stands for: those it holds and those held back before it.
fn whole(node: &FlowNode) -> u64 {
    node.rows.unwrap_or(0) + node.quarantined + node.duplicate + node.filtered
}

/// Where the label of a bar stands. Those between the first and the last layer stand on the calm ribbon that comes in, not
/// among what goes out.
fn label(layer: usize, flow: &Flow, x: f64) -> (&'static str, &'static str, f64) {
    match layer {
        0 => ("beside", "end", x - 8.0),
        layer if layer + 1 == flow.layers.len() => ("beside", "start", x + BAR + 8.0),
        _ => ("on", "end", x - 8.0),
    }
}

fn layer_x(layer: usize) -> f64 {
    LEFT + PITCH * layer as f64
}

/// Heights grow with the square root, so that a table of seventy rows can still be read beside one of a million.
fn size(rows: u64, most: f64) -> f64 {
    13.0 + 30.0 * (rows as f64 / most).sqrt()
}

fn layout(flow: &Flow, most: f64, collectors: &[(usize, u64)]) -> (Vec<Bar>, Vec<Bar>, f64) {
    let layers = flow.layers.len();
    let heights: Vec<f64> = flow.nodes.iter().map(|node| size(whole(node), most)).collect();
    let mut bars: Vec<Bar> = heights.iter().map(|height| Bar { x: 0.0, y: 0.0, height: *height }).collect();
    let (mut bottom, mut last) = (TOP, TOP);
    for layer in 0..layers {
        let mut members: Vec<usize> = (0..flow.nodes.len()).filter(|i| flow.nodes[*i].layer == layer).collect();
        // A bar stands beside what it comes from.
        let middle = |i: usize| {
            let above: Vec<f64> = flow.links.iter().filter(|link| link.to == i).map(|link| bars[link.from].y).collect();
            if above.is_empty() { f64::MAX } else { above.iter().sum::<f64>() / above.len() as f64 }
        };
        if layer > 0 {
            let mut keyed: Vec<(f64, usize)> = members.iter().map(|i| (middle(*i), *i)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            members = keyed.into_iter().map(|(_, i)| i).collect();
        }
        let mut y = TOP;
        for i in members {
            bars[i] = Bar { x: layer_x(layer), y, height: heights[i] };
            y += heights[i] + GAP;
        }
        (bottom, last) = (f64::max(bottom, y), y);
    }
    // What was held back lies at the bottom right, below what went on.
    let sum: u64 = collectors.iter().map(|(_, rows)| rows).sum();
    let sizes: Vec<f64> =
        collectors.iter().map(|(_, rows)| 18.0 + 26.0 * (*rows as f64 / sum.max(1) as f64).sqrt()).collect();
    let whole: f64 = sizes.iter().map(|size| size + GAP).sum();
    let mut y = (last + 40.0).max(bottom - whole);
    let mut tray = Vec::new();
    for height in sizes {
        tray.push(Bar { x: layer_x(layers - 1), y, height });
        y += height + GAP;
    }
    (bars, tray, bottom.max(y) + 4.0)
}

/// A ribbon between two edges.
fn ribbon(svg: &mut String, class: &str, from: (f64, f64, f64), to: (f64, f64, f64), title: &str) {
    let ((x1, y1, h1), (x2, y2, h2)) = (from, to);
    let bend = (x2 - x1) * 0.5;
    let (a, b) = (x1 + bend, x2 - bend);
    let _ = write!(
        svg,
        "<path class=\"{class}\" d=\"M{x1:.1} {y1:.1}C{a:.1} {y1:.1} {b:.1} {y2:.1} {x2:.1} {y2:.1}V{:.1}C{b:.1} {:.1} {a:.1} {:.1} {x1:.1} {:.1}Z\"><title>{}</title></path>",
        y2 + h2,
        y2 + h2,
        y1 + h1,
        y1 + h1,
        escape(title)
    );
}

fn links(flow: &Flow, bars: &[Bar], svg: &mut String) {
    for link in &flow.links {
        let (from, to) = (&bars[link.from], &bars[link.to]);
        let names = format!("{} → {}", flow.nodes[link.from].name, flow.nodes[link.to].name);
        match link.rows {
            Some(rows) => {
                let title = format!("{names}: {} rows", grouped(rows as f64));
                ribbon(svg, "way", (from.x + BAR, from.y, from.height), (to.x, to.y, to.height), &title);
            }
            None => {
                let (x1, y1) = (from.x + BAR, from.y + from.height / 2.0);
                let (x2, y2) = (to.x, to.y + to.height / 2.0);
                let middle = f64::midpoint(x1, x2);
                let _ = write!(
                    svg,
                    "<path class=\"thread\" d=\"M{x1:.1} {y1:.1}C{middle:.1} {y1:.1} {middle:.1} {y2:.1} {x2:.1} {y2:.1}\"><title>{}</title></path>",
                    escape(&names)
                );
            }
        }
    }
}

/// The parts of a bar's height that were held back; whatever is there can be seen.
fn parts(node: &FlowNode, height: f64) -> [f64; 3] {
    let whole = whole(node).max(1) as f64;
    HELD.map(|held| match (held.of)(node) {
        0 => 0.0,
        rows => (height * rows as f64 / whole).max(1.5),
    })
}

fn held(flow: &Flow, bars: &[Bar], tray: &[Bar], collectors: &[(usize, u64)], svg: &mut String) {
    for ((kind, total), place) in collectors.iter().zip(tray) {
        let Held { name, class, of } = HELD[*kind];
        let mut y = place.y;
        for (node, bar) in flow.nodes.iter().zip(bars).filter(|(node, _)| of(node) > 0) {
            let sizes = parts(node, bar.height);
            let below: f64 = sizes[..*kind].iter().sum();
            let start = bar.y + bar.height - below - sizes[*kind];
            let share = place.height * of(node) as f64 / *total as f64;
            let title = format!("{}: {} {}", node.name, grouped(of(node) as f64), name.to_lowercase());
            ribbon(
                svg,
                &format!("away {class}"),
                (bar.x + BAR, start, sizes[*kind]),
                (place.x, y, share.max(0.6)),
                &title,
            );
            y += share;
        }
        let middle = place.y + place.height / 2.0 + 4.0;
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{BAR}\" height=\"{:.1}\" rx=\"2\"/>\
             <text class=\"strong\" x=\"{:.1}\" y=\"{middle:.1}\">{name} <tspan class=\"count\">{}</tspan></text>",
            place.x,
            place.y,
            place.height,
            place.x + BAR + 8.0,
            grouped(*total as f64)
        );
    }
}

fn draw(node: &FlowNode, bar: &Bar, flow: &Flow, svg: &mut String) {
    let name = node.name.split_once('.').map_or(node.name.as_str(), |(_, name)| name);
    let _ = write!(
        svg,
        "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{BAR}\" height=\"{:.1}\" rx=\"2\"><title>{}</title></rect>",
        bar.x,
        bar.y,
        bar.height,
        escape(&node.name)
    );
    let mut y = bar.y + bar.height;
    for (Held { class, .. }, size) in HELD.iter().zip(parts(node, bar.height)) {
        y -= size;
        if size > 0.0 {
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{BAR}\" height=\"{size:.1}\"/>",
                bar.x
            );
        }
    }
    let (class, anchor, x) = label(node.layer, flow, bar.x);
    let rows = node.rows.map(|rows| grouped(rows as f64)).unwrap_or_default();
    let rejected = match node.rejected {
        0 => String::new(),
        rejected => format!(" <tspan class=\"lost\">+{} unreadable</tspan>", grouped(rejected as f64)),
    };
    let _ = write!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{} <tspan class=\"count\">{rows}</tspan>{rejected}</text>",
        bar.y + bar.height / 2.0 + 4.0,
        escape(name)
    );
}

/// A figure over the runs, with the band it was expected in.
pub(crate) fn anomaly(anomaly: &AnomalyRecord) -> String {
    let (width, height, margin) = (260.0, 74.0, 6.0);
    let shown = || anomaly.history.iter().copied().chain([anomaly.low, anomaly.high, anomaly.value]);
    let (low, high) = (shown().fold(f64::MAX, f64::min), shown().fold(f64::MIN, f64::max));
    let span = if high > low { high - low } else { 1.0 };
    let y = |value: f64| margin + (height - 2.0 * margin) * (1.0 - (value - low) / span);
    let steps = anomaly.history.len().max(2) - 1;
    let x = |i: usize| margin + (width - 3.0 * margin) * i as f64 / steps as f64;
    let mut svg = format!(
        "<svg class=\"anomaly\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\
         <rect class=\"band\" x=\"0\" y=\"{:.1}\" width=\"{width}\" height=\"{:.1}\"/>\
         <path class=\"expected\" d=\"M0 {:.1}H{width}\"/>",
        escape(&anomaly.message),
        y(anomaly.high),
        (y(anomaly.low) - y(anomaly.high)).max(1.0),
        y(anomaly.expected)
    );
    line(&mut svg, anomaly.history.iter().enumerate().map(|(i, value)| (x(i), y(*value))));
    for (i, value) in anomaly.history.iter().enumerate() {
        let is_last = i + 1 == anomaly.history.len();
        let (class, radius) = if is_last { ("now", 4.0) } else { ("then", 1.8) };
        let _ = write!(svg, "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\"/>", x(i), y(*value));
    }
    svg.push_str("</svg>");
    svg
}

/// A line without axes. Scores keep their unit: a dip of one per cent must not look like a crash.
pub(crate) fn sparkline(values: &[Option<f64>], floor: Option<f64>) -> String {
    let (width, height, margin) = (120.0, 28.0, 4.0);
    let known = || values.iter().flatten().copied();
    if known().count() == 0 {
        return String::new();
    }
    let (mut low, mut high) = (known().fold(f64::MAX, f64::min), known().fold(f64::MIN, f64::max));
    if let Some(floor) = floor {
        (low, high) = (low.min(floor), 1.0);
    }
    // A steady figure is a line in the middle.
    let (low, span) = if high > low { (low, high - low) } else { (low - 1.0, 2.0) };
    let steps = values.len().max(2) - 1;
    let point = |(i, value): (usize, &Option<f64>)| {
        let at = if values.len() == 1 { 1 } else { i };
        value.map(|value| {
            (
                margin + (width - 2.0 * margin) * at as f64 / steps as f64,
                margin + (height - 2.0 * margin) * (1.0 - (value - low) / span),
            )
        })
    };
    let points: Vec<(f64, f64)> = values.iter().enumerate().filter_map(point).collect();
    let mut svg = format!("<svg class=\"spark\" viewBox=\"0 0 {width} {height}\" aria-hidden=\"true\">");
    line(&mut svg, points.iter().copied());
    if let Some((x, y)) = points.last() {
        let _ = write!(svg, "<circle class=\"then\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>");
    }
    svg.push_str("</svg>");
    svg
}

/// The score as a ring.
pub(crate) fn ring(score: Option<f64>) -> String {
    let radius = 52.0;
    let around = 2.0 * std::f64::consts::PI * radius;
    let filled = around * score.unwrap_or(0.0);
    format!(
        "<svg class=\"ring\" viewBox=\"0 0 128 128\" aria-hidden=\"true\"><circle class=\"track\" cx=\"64\" cy=\"64\" r=\"{radius}\"/>\
         <circle class=\"arc\" cx=\"64\" cy=\"64\" r=\"{radius}\" stroke-dasharray=\"{filled:.1} {around:.1}\" transform=\"rotate(-90 64 64)\"/></svg>"
    )
}

fn line(svg: &mut String, points: impl Iterator<Item = (f64, f64)>) {
    let mut path = String::new();
    for (i, (x, y)) in points.enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" });
    }
    let _ = write!(svg, "<path class=\"line\" d=\"{path}\"/>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_well_formed_and_escaped() {
        let node = |name: &str, layer: usize, quarantined: u64| FlowNode {
            name: name.to_owned(),
            layer,
            rows: Some(100),
            quarantined,
            duplicate: 0,
            filtered: 0,
            rejected: 3,
        };
        let picture = flow(&Flow {
            layers: vec!["bronze".to_owned(), "silver".to_owned()],
            nodes: vec![node("bronze.a<b>", 0, 0), node("silver.stg", 1, 7)],
            links: vec![super::super::report::FlowLink { from: 0, to: 1, rows: Some(107) }],
        });
        assert!(picture.contains("a&lt;b&gt;") && !picture.contains("a<b>"), "{picture}");
        assert!(picture.contains("Quarantined <tspan class=\"count\">7</tspan>"), "{picture}");
        assert!(picture.contains("+3 unreadable"), "{picture}");
        assert_eq!(picture.matches("<path").count(), picture.matches("</path>").count());
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
    }

    #[test]
    fn steady_and_single_figures_are_drawn() {
        assert_eq!(sparkline(&[None], None), "");
        for values in [vec![Some(5.0)], vec![Some(5.0); 4], vec![Some(0.0), None, Some(1.0)]] {
            let svg = sparkline(&values, None);
            assert!(svg.contains("<circle") && !svg.contains("NaN"), "{svg}");
        }
    }
}
