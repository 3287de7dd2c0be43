//! No person in a link, no script in a mail: what may stand in an address, and where values may stand at all.
//!
//! Promises: a `customer.*` value inside any address, style or script is refused at load, also through a partial's parameter (they
//! are put in place before); an address starts with a fixed, allowed scheme, `{{org.links.…}}` or `{{url …}}`.
//! Never: a decision by the value at render time, except in the `url` helper.

use super::markup::{Event, Place, Scanner};
use super::syntax::{Arg, Call, Issue, Node, Path, Pos};

mod run;

use run::{Runs, again, plain};

/// Attributes that hold an address.
const ADDRESSES: [&str; 15] = [
    "href",
    "src",
    "srcset",
    "background",
    "action",
    "formaction",
    "poster",
    "cite",
    "data",
    "longdesc",
    "lowsrc",
    "dynsrc",
    "imagesrcset",
    "xlink:href",
    "ping",
];
/// Scripts, what asks for input, and elements whose text some readers take for tags and others do not.
const FORBIDDEN: [&str; 12] =
    ["script", "iframe", "object", "embed", "form", "base", "xmp", "noembed", "noframes", "plaintext", "svg", "math"];
const SCHEMES: [&str; 4] = ["https://", "mailto:", "tel:", "cid:"];
/// Stands for a tag of the template in a collected address.
const HOLE: char = '\u{1}';
/// Stands for a tag that is a safe beginning of an address.
const SAFE: char = '\u{2}';

/// Checks an HTML part, as Outlook reads it, which looks into comments, and as all others do: what is a tag for the one may stand within
/// quotes for the others.
pub(super) fn check_html(nodes: &[Node]) -> Vec<Issue> {
    let mut issues = check_as(nodes, Scanner::new(false));
    let more = check_as(nodes, Scanner::new(true));
    issues.extend(more.into_iter().filter(|issue| !issues.contains(issue)).collect::<Vec<_>>());
    issues
}

fn check_as(nodes: &[Node], mut scanner: Scanner) -> Vec<Issue> {
    let mut check = Html { issues: Vec::new(), address: String::new(), value_pos: None, rounds: 0 };
    let mut run = Runs::default();
    check.nodes(nodes, &mut scanner, &mut run);
    if scanner.place() != Place::Text
        && let Some(last) = nodes.last()
    {
        check.issues.push(Issue::new(place(last), "the HTML ends inside a tag, comment, style or script"));
    }
    check.issues
}

/// Checks a part without HTML: text, subject, SMS.
pub(super) fn check_plain(nodes: &[Node]) -> Vec<Issue> {
    let mut issues = Vec::new();
    plain(nodes, &mut Runs::default(), 0, &mut issues);
    issues
}

/// True if a tag reads anything of the person.
pub(super) fn names_person(call: &Call) -> bool {
    let arg = |arg: &Arg| match arg {
        Arg::Path(path) => path_names_person(path),
        Arg::Call(call) => names_person(call),
        _ => false,
    };
    path_names_person(&call.head) || call.args.iter().any(arg) || call.hash.iter().any(|(_, a)| arg(a))
}

fn path_names_person(path: &Path) -> bool {
    path.segments.iter().any(|s| s == "customer")
}

fn person_in_link(pos: &Pos) -> Issue {
    Issue::new(pos, "a `customer.` value stands inside a link")
        .hint("a link must not say who the person is; use an id of the event")
}

/// True for tags that print a whole, safe address.
fn is_address(call: &Call) -> bool {
    let links = call.is_bare() && matches!(call.head.segments.as_slice(), [a, b, _] if a == "org" && b == "links");
    links || call.head.word() == Some("url")
}

struct Html {
    issues: Vec<Issue>,
    address: String,
    value_pos: Option<Pos>,
    /// How many loops around are looked at for the second time.
    rounds: usize,
}

impl Html {
    fn nodes(&mut self, nodes: &[Node], scanner: &mut Scanner, run: &mut Runs) {
        for node in nodes {
            match node {
                Node::Text { text, pos } => text.chars().for_each(|c| self.char(c, pos, scanner, run)),
                Node::Value { call, pos } => {
                    scanner.hole();
                    self.value(call, pos, scanner, run);
                }
                Node::Block { call, body, arms, pos, .. } => {
                    scanner.hole();
                    self.block(call, pos, scanner, run);
                    let (start, start_run, address) = (scanner.clone(), run.clone(), self.address.clone());
                    self.nodes(body, scanner, run);
                    if again(call, self.rounds) {
                        // What one round ends with, the next begins with.
                        run.or(start_run.clone(), pos, &mut self.issues);
                        let (mut second, told) = (start.clone(), self.issues.len());
                        self.rounds += 1;
                        self.nodes(body, &mut second, run);
                        self.rounds -= 1;
                        let mut more = self.issues.split_off(told);
                        more.retain(|issue| !self.issues.contains(issue));
                        self.issues.append(&mut more);
                    }
                    let mut after = std::mem::replace(&mut self.address, address.clone());
                    let mut is_whole = false;
                    for arm in arms {
                        is_whole |= arm.condition.is_none();
                        let (mut other, mut other_run) = (start.clone(), start_run.clone());
                        if let Some(condition) = &arm.condition {
                            self.block(condition, &arm.pos, &other, run);
                        }
                        self.nodes(&arm.body, &mut other, &mut other_run);
                        run.or(other_run, &arm.pos, &mut self.issues);
                        // Any branch may be what stands before the rest.
                        after.push_str(self.address.strip_prefix(address.as_str()).unwrap_or_default());
                        self.address.clone_from(&address);
                        if other.place() != scanner.place() {
                            self.issues.push(Issue::new(
                                &arm.pos,
                                "one branch of a block ends inside an HTML tag, the other not",
                            ));
                        }
                    }
                    if !is_whole {
                        run.or(start_run, pos, &mut self.issues);
                    }
                    if arms.is_empty() && start.place() != scanner.place() {
                        self.issues.push(Issue::new(pos, "a block begins and ends in different places of an HTML tag"));
                    }
                    self.address = after;
                }
                Node::Include { .. } => {}
            }
        }
    }

    fn char(&mut self, c: char, pos: &Pos, scanner: &mut Scanner, run: &mut Runs) {
        let is_odd = c.is_whitespace() && !matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}');
        if is_odd && matches!(scanner.place(), Place::Tag | Place::BetweenAttrs | Place::Unquoted) {
            // Some readers take it for a blank between attributes, others for a part of one.
            self.issues.push(Issue::new(
                pos,
                format!("a tag has the character U+{:04X} in the place of a blank", u32::from(c)),
            ));
        }
        match scanner.feed(c) {
            Event::Char(c) => run.char(c, pos, &mut self.issues),
            Event::ValueStart => {
                self.address.clear();
                self.value_pos = Some(pos.clone());
                if scanner.attr.starts_with("on") && scanner.attr.len() > 3 {
                    self.issues.push(Issue::new(pos, format!("`{}` is a script; mail has none", scanner.attr)));
                }
            }
            Event::ValueChar(c) => self.address.push(c),
            Event::ValueEnd => self.value_end(scanner),
            Event::Opened => {
                *run = Runs::default();
                // MJML writes one for Outlook, inside a comment.
                let is_noscript = scanner.element == "noscript" && scanner.skips_comments();
                if is_noscript || FORBIDDEN.contains(&scanner.element.as_str()) {
                    self.issues.push(Issue::new(pos, format!("`<{}>` is not allowed in a mail", scanner.element)));
                }
            }
            Event::Closed => *run = Runs::default(),
            Event::None => {}
        }
    }

    fn value(&mut self, call: &Call, pos: &Pos, scanner: &Scanner, run: &mut Runs) {
        match scanner.place() {
            Place::Text => run.tag(call, pos, &mut self.issues),
            Place::Comment => {}
            Place::Tag | Place::BetweenAttrs => {
                self.issues
                    .push(Issue::new(pos, "a value stands inside an HTML tag").hint("put it into a quoted attribute"));
            }
            Place::Unquoted => {
                self.issues.push(Issue::new(pos, format!("`{}=` has no quotes around its value", scanner.attr)));
            }
            Place::Raw if scanner.raw() == "title" => {}
            Place::Raw => self.issues.push(Issue::new(pos, format!("a value stands inside `<{}>`", scanner.raw()))),
            Place::Quoted if ADDRESSES.contains(&scanner.attr.as_str()) => self.in_address(call, pos),
            Place::Quoted if scanner.attr == "style" || scanner.attr.starts_with("on") => {
                let style = self.address.to_ascii_lowercase();
                if names_person(call) {
                    self.issues.push(person_in_link(pos));
                } else if style.contains("url(") || scanner.attr != "style" {
                    self.issues.push(Issue::new(
                        pos,
                        format!("a value stands inside an address or script of `{}`", scanner.attr),
                    ));
                }
                self.address.push(HOLE);
            }
            Place::Quoted => {
                if names_person(call) && matches!(scanner.element.as_str(), "meta" | "link") {
                    self.issues.push(person_in_link(pos));
                }
                self.address.push(HOLE);
            }
        }
    }

    fn in_address(&mut self, call: &Call, pos: &Pos) {
        if names_person(call) {
            self.issues.push(person_in_link(pos));
        }
        let first = self.address.trim().is_empty();
        let encoded = call.head.word() == Some("urlencode");
        let root = call.head.head() == "org" && call.head.up == 0;
        if first && is_address(call) {
            self.address.push(SAFE);
            return;
        }
        if first {
            let issue = Issue::new(pos, "an address begins with a value");
            self.issues
                .push(issue.hint("write `{{org.links.name}}`, or `{{url value}}`, which lets only https through"));
        } else if !encoded && !root {
            let issue = Issue::new(pos, "a value stands inside an address as it is");
            self.issues.push(issue.hint("write `{{urlencode value}}`"));
        }
        self.address.push(HOLE);
    }

    fn block(&mut self, call: &Call, pos: &Pos, scanner: &Scanner, run: &Runs) {
        let address = scanner.place() == Place::Quoted && ADDRESSES.contains(&scanner.attr.as_str());
        if address && !host_is_whole(&self.address) {
            // Each branch would be a beginning of its own, and "no branch" another.
            let issue = Issue::new(pos, "a block stands at the beginning of an address");
            self.issues.push(issue.hint("put the block around the whole tag or attribute"));
        }
        if names_person(call) && (address || (scanner.place() == Place::Text && run.is_link())) {
            self.issues.push(person_in_link(pos));
        }
        if matches!(scanner.place(), Place::Tag | Place::Unquoted) {
            self.issues.push(
                Issue::new(pos, "a block begins inside an HTML tag").hint("put it around the whole tag or attribute"),
            );
        }
    }

    fn value_end(&mut self, scanner: &Scanner) {
        let address = std::mem::take(&mut self.address);
        let Some(pos) = self.value_pos.clone() else { return };
        if scanner.attr == "style" {
            let style = decode(&address).to_ascii_lowercase();
            if style.contains("javascript:") || style.contains("expression(") || style.contains("url(data:") {
                self.issues.push(Issue::new(&pos, "a script stands in `style`"));
            }
            return;
        }
        if !ADDRESSES.contains(&scanner.attr.as_str()) {
            return;
        }
        // Clients drop white space and control characters inside a scheme.
        let plain: String =
            decode(&address).chars().filter(|c| !c.is_whitespace() && (!c.is_control() || is_mark(*c))).collect();
        let lower = plain.to_ascii_lowercase();
        let fine =
            lower.is_empty() || lower.starts_with(['#', SAFE, HOLE]) || SCHEMES.iter().any(|s| lower.starts_with(s));
        if !fine {
            let issue = Issue::new(&pos, format!("`{}` is not a full https address", scanner.attr));
            self.issues.push(issue.hint("allowed are https://, mailto:, tel:, cid: and {{org.links.…}}"));
        } else if SCHEMES.iter().any(|s| lower.strip_prefix(s).is_some_and(|rest| s.ends_with('/') && bad_host(rest))) {
            self.issues.push(
                Issue::new(&pos, "the host of an address is a value").hint("hosts are fixed; see `[org.<id>.links]`"),
            );
        }
    }
}

/// True if nothing that follows can change where an address leads.
fn host_is_whole(address: &str) -> bool {
    let address = decode(address).trim_start().to_ascii_lowercase();
    match address.strip_prefix("https://") {
        Some(rest) => rest.find(['/', '?', '#']).is_some_and(|end| end > 0),
        None => address.starts_with(SAFE) || ["mailto:", "tel:"].iter().any(|s| address.starts_with(s)),
    }
}

fn is_mark(c: char) -> bool {
    matches!(c, HOLE | SAFE)
}

fn bad_host(rest: &str) -> bool {
    rest.split(['/', '?', '#']).next().unwrap_or_default().contains(is_mark)
}

/// Decodes what matters to hide a scheme: numeric entities and the named colon, tab and newline.
fn decode(text: &str) -> String {
    super::plaintext::decode_entities(text)
}

fn place(node: &Node) -> &Pos {
    match node {
        Node::Text { pos, .. } | Node::Value { pos, .. } | Node::Block { pos, .. } | Node::Include { pos, .. } => pos,
    }
}
