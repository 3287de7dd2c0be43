//! What reading files of people is held to: the targets `import` and `numbers`.
//!
//! Promises: a file is read whole, in pieces of every size, and packed, and all three must give the same; where the file is written here, each
//! row must come out once, from the line that it began on.
//! Never: a person who is not made up.

use std::io::{self, Read, Write};

use super::{HeaderMap, Import, ImportKind, Numbers};
use crate::choices::Choices;
use crate::clock::Time;
use crate::vault::json::{ContactJson, row_json};

const NOW: Time = Time::from_millis(1_800_000_000_000);

/// Stands in values only, and is valid in none of the fields that are checked.
const CANARY: &str = "q4narya";

/// A reader that gives a few bytes at a time, and is interrupted now and then.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    sizes: Vec<u8>,
    turn: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        let size = self.sizes.get(self.turn % self.sizes.len().max(1)).map_or(usize::MAX, |size| usize::from(*size));
        if size == 0 && self.turn % 2 == 1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = size.max(1).min(into.len()).min(self.bytes.len() - self.at);
        into[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Contacts and aliases, CSV and lines of JSON.
pub(crate) fn import(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let kind = choices.pick(&[ImportKind::Contacts, ImportKind::Aliases]);
    let sizes = choices.some(8).to_vec();
    if choices.one_in(4) {
        same_in_pieces(choices.rest(), sizes, |file| read(file, kind));
        return;
    }
    let file = if choices.one_in(2) { File::json(&mut choices) } else { File::csv(&mut choices, kind) };
    let found = same_in_pieces(&file.bytes, sizes, |file| read(file, kind));
    assert_eq!(found.len(), file.begun.len(), "rows were lost, or made");
    for (found, line) in found.iter().zip(&file.begun) {
        let said = found.strip_prefix("fault line ").or_else(|| found.strip_prefix("row line ")).unwrap_or(found);
        assert_eq!(said.split([' ', ':']).next(), Some(line.to_string().as_str()), "another line");
    }
}

/// Files of phone numbers.
pub(crate) fn numbers(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let sizes = choices.some(8).to_vec();
    let country = choices.one_in(2).then(|| "91".to_owned());
    let mut file = choices.pick(&["phone\n", "a,MSISDN\n", "", "\u{feff}Phone\r\n"]).as_bytes().to_vec();
    if choices.one_in(2) {
        while !choices.is_over() {
            file.extend_from_slice(
                choices
                    .pick(&[
                        "+919876501234",
                        "9876501234",
                        "00919876501234",
                        "x,",
                        "\"",
                        "-",
                        " ",
                        "(0)",
                        CANARY,
                        "\n",
                        "\r\n",
                    ])
                    .as_bytes(),
            );
        }
    } else {
        file.extend_from_slice(choices.rest());
    }
    same_in_pieces(&file, sizes, |reader| {
        let numbers = match Numbers::open(reader, None, country.clone()) {
            Ok(numbers) => numbers,
            Err(error) => return vec![format!("file {error}")],
        };
        let found = numbers.map(|number| match number {
            Err(fault) => format!("fault {fault}"),
            Ok(number) => {
                let digits = number.expose().strip_prefix('+').expect("E.164 begins with a plus");
                assert!((7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()), "no number");
                format!("row {}", number.expose())
            }
        });
        found.collect()
    });
}

/// What is found, the same however the file comes.
fn same_in_pieces(file: &[u8], sizes: Vec<u8>, read: impl Fn(Box<dyn Read + Send>) -> Vec<String>) -> Vec<String> {
    let whole = read(Box::new(io::Cursor::new(file.to_vec())));
    for found in &whole {
        let is_row = found.starts_with("row ");
        assert!(is_row || !found.contains(CANARY), "a fault has a value of the file");
    }
    let pieces = read(Box::new(Pieces { bytes: file.to_vec(), at: 0, sizes, turn: 0 }));
    assert_eq!(whole, pieces, "a file that comes in pieces is another");
    // What looks packed already is not packed once more: it is unpacked once.
    if !file.starts_with(&[0x1f, 0x8b]) {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(file).expect("memory can be written");
        let packed = packed.finish().expect("memory can be written");
        assert_eq!(whole, read(Box::new(io::Cursor::new(packed))), "a packed file is another");
    }
    whole
}

fn read(file: Box<dyn Read + Send>, kind: ImportKind) -> Vec<String> {
    let map = HeaderMap::parse(&["Mobile No=mobile", "Remarks=-"][..0]).expect("no entry is wrong");
    let import = match Import::open(file, kind, map, NOW) {
        Ok(import) => import,
        Err(error) => return vec![format!("file {error}")],
    };
    let mut before = 0;
    import
        .map(|row| {
            let (line, said) = match row {
                Err(fault) => (fault.line, format!("fault {fault}")),
                Ok(row) => {
                    assert!(!row.aliases.is_empty() && row.aliases.iter().all(|alias| !alias.value.is_blank()), "a row of nobody");
                    assert!(row.contact.is_none() || kind == ImportKind::Contacts);
                    assert!(row.repeats.is_none_or(|(_, line)| line < row.line), "repeats what is still to come");
                    let json = row_json(&row).to_string();
                    if kind == ImportKind::Contacts {
                        // The way through the local socket.
                        let again = ContactJson::parse(json.as_bytes()).unwrap_or_else(|fault| panic!("{fault}"));
                        let (contact, aliases) = again.into_parts(NOW).unwrap_or_else(|fault| panic!("{fault}"));
                        assert_eq!(aliases.len(), row.aliases.len(), "another row behind the socket");
                        assert!(row.contact.is_some_and(|row| row.first_name == contact.first_name && row.mobile == contact.mobile));
                    }
                    (row.line, format!("row line {}: {json} {}", row.line, row.at))
                }
            };
            assert!(line > before, "lines do not go on");
            before = line;
            said
        })
        .collect()
}

/// A file that is written row by row, with the lines they begin on.
struct File {
    bytes: Vec<u8>,
    begun: Vec<u64>,
    line: u64,
}

const FIELDS: [&str; 9] =
    ["external_id", "customer_id", "card", "updated_at", "first_name", "mobile", "email", "attr.tier", "time_zone"];

impl File {
    fn end(&mut self, choices: &mut Choices<'_>) {
        self.bytes.extend_from_slice(choices.pick(&["\n", "\r\n", "\r"]).as_bytes());
        self.line += 1;
        // A lone CR and the LF of a blank line behind it would be one line end, as they are in every file.
        let may_be_blank = !self.bytes.ends_with(b"\r");
        if may_be_blank && choices.one_in(4) {
            self.bytes.push(b'\n');
            self.line += 1;
        }
    }

    fn csv(choices: &mut Choices<'_>, kind: ImportKind) -> Self {
        let fields = if kind == ImportKind::Aliases { &FIELDS[..4] } else { &FIELDS[..] };
        let mut file = Self { bytes: Vec::new(), begun: Vec::new(), line: 1 };
        if choices.one_in(4) {
            file.bytes.extend_from_slice("\u{feff}".as_bytes());
        }
        let columns = 2 + choices.below(fields.len() - 2);
        file.bytes.extend_from_slice(fields[..columns].join(",").as_bytes());
        file.end(choices);
        while !choices.is_over() {
            file.begun.push(file.line);
            for (column, field) in fields[..columns].iter().enumerate() {
                let value = value(choices, field);
                if column > 0 {
                    file.bytes.push(b',');
                }
                let value = if value.is_empty() || choices.one_in(2) {
                    format!("\"{}\"", value.replace('"', "\"\""))
                } else {
                    value.replace(['"', ',', '\r', '\n'], "")
                };
                // What is quoted may go over lines. CR and LF are one end, also where a quote begins between them.
                file.line += value.replace("\r\n", "\n").matches(['\r', '\n']).count() as u64;
                file.bytes.extend_from_slice(value.as_bytes());
            }
            if choices.one_in(16) {
                file.bytes.extend_from_slice(b",one too many");
            }
            file.end(choices);
        }
        file
    }

    fn json(choices: &mut Choices<'_>) -> Self {
        let mut file = Self { bytes: b"{}\n".to_vec(), begun: vec![1], line: 2 };
        while !choices.is_over() {
            file.begun.push(file.line);
            let mut object = serde_json::Map::new();
            for field in FIELDS {
                if choices.one_in(3) {
                    continue;
                }
                let value = match choices.below(6) {
                    0 => serde_json::Value::Null,
                    1 => choices.number().into(),
                    2 => vec![value(choices, field), value(choices, field)].into(),
                    _ => value(choices, field).into(),
                };
                object.insert(field.to_owned(), value);
            }
            let mut line = serde_json::Value::Object(object).to_string();
            if choices.one_in(8) {
                line.truncate_at(choices.below(40));
            }
            file.bytes.extend_from_slice(line.as_bytes());
            file.end(choices);
        }
        file
    }
}

/// Cuts a line off, so that it is no JSON; leaves something, or the line would be a blank one.
trait TruncateAt {
    fn truncate_at(&mut self, at: usize);
}

impl TruncateAt for String {
    fn truncate_at(&mut self, at: usize) {
        let end = self.floor_char_boundary(at.max(1));
        self.drain(end..);
    }
}

fn value(choices: &mut Choices<'_>, field: &str) -> String {
    let mut value = match choices.below(8) {
        0 => String::new(),
        1 => CANARY.to_owned(),
        2 => choices.text(&[CANARY, "+919876501234", "2026-01-31", "N/A", "\n", "Asha"]),
        _ => match field {
            "mobile" => "+91 98765 01234".to_owned(),
            "email" => "asha@example.com".to_owned(),
            "updated_at" => choices
                .pick(&["2026-01-31T08:00:00Z", "2024-02-29", "2026-02-29", "2999-01-01", "-009999-01-01"])
                .to_owned(),
            "time_zone" => "Asia/Kolkata".to_owned(),
            _ => choices.byte().to_string(),
        },
    };
    if choices.one_in(128) {
        value = value.repeat(choices.pick(&[10, 9_000, 50_000]));
    }
    value
}
