//! Files as brands really have them: marks, quotes, line ends, bad rows.

use super::*;
use crate::id::Namespace;
use crate::seal::Keyring;
use crate::vault::{PutMode, Resolution, Vault};

const NOW: Time = Time::from_millis(1_800_000_000_000);

/// Rows and faults as short texts, so that a whole file can be compared at a glance.
fn read(text: &[u8], kind: ImportKind) -> Vec<String> {
    read_mapped(text, kind, &[])
}

fn read_mapped(text: &[u8], kind: ImportKind, map: &[&str]) -> Vec<String> {
    let map = HeaderMap::parse(map).unwrap();
    let import = match Import::open(io::Cursor::new(text.to_vec()), kind, map, NOW) {
        Ok(import) => import,
        Err(error) => return vec![error.to_string()],
    };
    import
        .map(|row| match row {
            Err(fault) => fault.to_string(),
            Ok(row) => {
                let aliases = row.aliases.iter().map(|a| format!("{}:{}", a.kind.as_str(), a.value.expose()));
                let contact = row.contact.map(|contact| super::super::json::contact_json(&contact).to_string());
                let parts = aliases.chain(contact.is_none().then(|| row.at.to_string())).chain(contact);
                let repeats = row.repeats.map_or(String::new(), |(kind, line)| format!(" {kind:?} as on line {line}"));
                format!("{} {}{repeats}", row.line, parts.collect::<Vec<_>>().join(" "))
            }
        })
        .collect()
}

#[test]
fn good_rows_are_read_in_any_dialect_of_csv() {
    let text = b"\xef\xbb\xbfexternal_id, first_name ,mobile,attr.tier,updated_at\r\n\
        GT1,\"Rao, \"\"Asha\"\"\",+91 98123 45678,gold,2026-01-31\r\n\
        \n\
        GT2,\"Two\nlines\",,,2026-01-31T08:00:00+05:30\n\
        GT3,,,,";
    insta::assert_snapshot!(read(text, ImportKind::Contacts).join("\n"), @r#"
    2 external_id:GT1 {"attributes":{"tier":"gold"},"first_name":"Rao, \"Asha\"","mobile":"+919812345678","updated_at":"2026-01-31T00:00:00.000Z"}
    4 external_id:GT2 {"attributes":{},"first_name":"Two\nlines","updated_at":"2026-01-31T02:30:00.000Z"}
    6 external_id:GT3 {"attributes":{},"updated_at":"2027-01-15T08:00:00.000Z"}
    "#);
    for ends in ["\n", "\r\n", "\r"] {
        let text = ["card", "1", "", "2", "", ""].join(ends);
        assert_eq!(read(text.as_bytes(), ImportKind::Contacts).len(), 2, "{ends:?}");
        assert!(read(text.as_bytes(), ImportKind::Contacts)[1].starts_with("4 card:2 "), "{ends:?}");
    }
}

#[test]
fn a_bad_row_is_a_fault_and_reading_goes_on() {
    let long = "x".repeat(FIELD_LIMIT + 1);
    let text = format!(
        "customer_id,mobile,email,updated_at\n\
         1,canary,,\n\
         2,,canary,\n\
         3,,\n\
         ,+919812345678,,\n\
         5,,,canary\n\
         6,,,2999-01-01\n\
         {long},,,\n\
         \"8\n8\",canary,,\n\
         9,,,\n"
    );
    let faults = read(text.as_bytes(), ImportKind::Contacts);
    assert!(!faults.join("\n").contains("canary"));
    insta::assert_snapshot!(faults.join("\n"), @r#"
    line 2: field `mobile` is not E.164
    line 3: field `email` is not a mail address
    line 4: has 3 fields, the header has 4
    line 5: has no identifier
    line 6: field `updated_at` is not a time like 2027-01-31T08:00:00Z or a date like 2027-01-31
    line 7: field `updated_at` is not in the past
    line 8: field `customer_id` is longer than 8192 bytes
    line 9: field `mobile` is not E.164
    11 customer_id:9 {"attributes":{},"updated_at":"2027-01-15T08:00:00.000Z"}
    "#);
    let latin = read(b"customer_id,first_name\n1,Jos\xe9\n2,Asha\n", ImportKind::Contacts);
    assert_eq!(latin[0], "line 2: field `first_name` is not UTF-8");
    assert_eq!(latin.len(), 2);
}

#[test]
fn files_of_aliases_need_two_in_the_header_and_in_each_row() {
    let text = b"customer_id,external_id,card\n1,GT1,\n2,,\n3,GT3,K3\n";
    insta::assert_snapshot!(read(text, ImportKind::Aliases).join("\n"), @r"
    2 customer_id:1 external_id:GT1 2027-01-15T08:00:00.000Z
    line 3: has fewer than two identifiers
    4 customer_id:3 external_id:GT3 card:K3 2027-01-15T08:00:00.000Z
    ");
}

#[test]
fn a_header_that_cannot_be_used_is_named() {
    let cases: &[(&[u8], ImportKind, &str)] = &[
        (b"", ImportKind::Contacts, "file has no header line"),
        (
            b"external_id,telephone\n",
            ImportKind::Contacts,
            "column 2 `telephone` is not known; map it (HEADER=FIELD) or expected customer_id, external_id",
        ),
        (b"external_id,attr.\n", ImportKind::Contacts, "column 2 `attr.` is not known"),
        (b"external_id,GT0042\n", ImportKind::Contacts, "column 2 `(not a plain name)` is not known"),
        (
            b"external_id,card,mobile\n",
            ImportKind::Aliases,
            "column 3 `mobile` is not known; map it (HEADER=FIELD) or expected customer_id, external_id, card, card_external_id, updated_at",
        ),
        (b"card,card\n", ImportKind::Contacts, "column `card` stands there twice, or two columns mean the same"),
        (
            b"first_name\n",
            ImportKind::Contacts,
            "file has 0 of the columns customer_id, external_id, card, card_external_id; needed: 1",
        ),
        (
            b"card\n",
            ImportKind::Aliases,
            "file has 1 of the columns customer_id, external_id, card, card_external_id; needed: 2",
        ),
        (b"\xff\xfec\0a\0", ImportKind::Contacts, "file is UTF-16"),
        (b"Kund\xe9,card\n", ImportKind::Contacts, "header line is not UTF-8"),
        (b"email,mail,card\n", ImportKind::Contacts, "column 2 `mail` is not known"),
        (b"mobile,phone,card\n", ImportKind::Contacts, "column `phone` stands there twice"),
    ];
    for (text, kind, expected) in cases {
        let said = read(text, *kind).join("\n");
        assert!(said.starts_with(expected), "{said}");
    }
}

/// A file of any length that is never held.
struct Endless {
    begin: &'static [u8],
    fill: u8,
    length: u64,
    end: &'static [u8],
    at: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let begin = self.begin.len() as u64;
        let (piece, at) = match self.at {
            at if at < begin => (self.begin, at),
            at if at < begin + self.length => {
                let count = buffer.len().min((begin + self.length - at) as usize);
                buffer[..count].fill(self.fill);
                self.at += count as u64;
                return Ok(count);
            }
            at => (self.end, at - begin - self.length),
        };
        let rest = &piece[at as usize..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

fn lines_of(file: Endless) -> Vec<String> {
    let import = Import::open(file, ImportKind::Contacts, HeaderMap::default(), NOW).ok().unwrap();
    import.map(|row| row.map_or_else(|fault| fault.to_string(), |row| row.line.to_string())).collect()
}

#[test]
fn a_field_of_a_megabyte_is_one_fault_and_the_next_row_is_found() {
    let cases: [(&'static [u8], u8, &'static [u8]); 3] = [
        (b"card,first_name\n1,Asha\n2,", b'x', b"\n3,Ravi\n"),
        (b"card,first_name\n1,Asha\n2,\"", b',', b"\"\"\"\n3,Ravi\n"),
        (b"card,first_name\n1,Asha\n2,\"", b'\n', b"\"\n3,Ravi"),
    ];
    for (begin, fill, end) in cases {
        let lines = lines_of(Endless { begin, fill, length: 1 << 20, end, at: 0 });
        let next = if fill == b'\n' { 4 + (1 << 20) } else { 4 };
        let expected = ["2", "line 3: field `first_name` is longer than 8192 bytes", &next.to_string()];
        assert_eq!(lines, expected);
    }
    let wide = lines_of(Endless { begin: b"card,email\n1,", fill: b',', length: 5_000, end: b"\n2,\n", at: 0 });
    assert_eq!(wide, ["line 2: has 1024 fields or more, the header has 2", "3"]);
    let json = Endless {
        begin: b"{\"card\":\"1\"}\n{\"card\":\"",
        fill: b'x',
        length: 1 << 20,
        end: b"\"}\n{\"card\":3}",
        at: 0,
    };
    assert_eq!(lines_of(json), ["1", "line 2: is longer than 262144 bytes", "3"]);
}

#[test]
fn a_quote_that_is_never_closed_ends_the_reading_and_swallows_no_row_as_text() {
    let lost = "line 3: has a quote that is not closed; reading ends here";
    let begin: &'static [u8] = b"card,first_name\n1,Asha\n2,\"";
    let endless = Endless { begin, fill: b'\n', length: u64::MAX / 2, end: b"", at: 0 };
    assert_eq!(lines_of(endless), ["2", lost]);
    assert_eq!(lines_of(Endless { begin, fill: b'x', length: 3, end: b"\n3,Ravi\n", at: 0 }), ["2", lost]);
}

#[test]
fn a_line_of_any_length_without_a_quote_costs_no_row_but_its_own() {
    let long = records::LOST_AFTER + (1 << 20);
    for (begin, end) in
        [(&b"card,first_name\n1,Asha\n2,"[..], &b"\n3,Ravi\n"[..]), (b"card,first_name\n1,Asha\n2,\"", b"\"\n3,Ravi\n")]
    {
        let lines = lines_of(Endless { begin, fill: b'x', length: long, end, at: 0 });
        assert_eq!(lines, ["2", "line 3: field `first_name` is longer than 8192 bytes", "4"]);
    }
}

#[test]
fn a_field_that_stands_twice_in_a_line_of_json_is_a_fault() {
    let text = b"{\"external_id\":\"J6\",\"first_name\":\"Asha\",\"external_id\":\"J7\"}\n\
        {\"external_id\":\"J8\",\"first_name\":\"Ravi\"}\n[\"external_id\"]\n";
    let read = read(text, ImportKind::Contacts);
    assert_eq!(read[0], "line 1: field `external_id` stands there twice");
    assert!(read[1].starts_with("2 external_id:J8 "), "{read:?}");
    assert_eq!(read[2], "line 3: is not a JSON object");
}

#[test]
fn lines_of_json_mean_what_rows_of_csv_mean() {
    let text = br#"{"external_id":"GT1","card":["1001",1002],"first_name":" Asha ","mobile":"+91 98123 45678","attributes":{"tier":"gold"},"attr.visits":3}

{"external_id":"GT2","email":"","locale":null,"updated_at":"2026-01-31"}
{"external_id":"GT3"
{"external_id":"GT4","mobile":"canary"}
{"external_id":"GT5","nickname":"canary"}
{"external_id":"GT6","+919812345678":"canary"}
{"first_name":"canary"}
["canary"]
{"external_id":"GT9","first_name":{"canary":1}}
{"external_id":"GT1"}"#;
    let rows = read(text, ImportKind::Contacts).join("\n");
    assert!(!rows.contains("canary"));
    insta::assert_snapshot!(rows, @r#"
    1 external_id:GT1 card:1001 card:1002 {"attributes":{"tier":"gold","visits":"3"},"first_name":"Asha","mobile":"+919812345678","updated_at":"2027-01-15T08:00:00.000Z"}
    3 external_id:GT2 {"attributes":{},"email":"","updated_at":"2026-01-31T00:00:00.000Z"}
    line 4: is not JSON at column 20
    line 5: field `mobile` is not E.164
    line 6: field `nickname` is not known; map it or expected customer_id, external_id, card, card_external_id, first_name, last_name, email, mobile, locale, time_zone, updated_at, attr.<name>
    line 7: field `(not a plain name)` is not known; map it or expected customer_id, external_id, card, card_external_id, first_name, last_name, email, mobile, locale, time_zone, updated_at, attr.<name>
    line 8: has no identifier
    line 9: is not a JSON object
    line 10: field `first_name` is not a text, number or truth value
    11 external_id:GT1 {"attributes":{},"updated_at":"2027-01-15T08:00:00.000Z"} ExternalId as on line 1
    "#);
    let aliases = b"{\"customer_id\":381,\"external_id\":\"GT1\"}\n{\"customer_id\":382}\n";
    insta::assert_snapshot!(read(aliases, ImportKind::Aliases).join("\n"), @r#"
    1 customer_id:381 external_id:GT1 2027-01-15T08:00:00.000Z
    line 2: has fewer than two identifiers
    "#);
}

#[test]
fn a_map_gives_headers_their_meaning() {
    let text = b"Member,Mobile No,Remarks,Tier\nGT1,+919812345678,canary,gold\n";
    let map = ["Member=external_id", "Mobile No=phone", "Remarks=-", "Tier=attr.tier"];
    let rows = read_mapped(text, ImportKind::Contacts, &map);
    insta::assert_snapshot!(rows.join("\n"), @r#"
    2 external_id:GT1 {"attributes":{"tier":"gold"},"mobile":"+919812345678","updated_at":"2027-01-15T08:00:00.000Z"}
    "#);
    let missing = read_mapped(b"card\n1\n", ImportKind::Contacts, &["Mobile No=phone"]);
    assert_eq!(missing, ["column `Mobile No` is mapped and not in the header line"]);
    let twice = read_mapped(b"card,A,mobile\n", ImportKind::Contacts, &["A=mobile"]);
    assert_eq!(twice, ["column `mobile` stands there twice, or two columns mean the same"]);
    let json = read_mapped(b"{\"Member\":\"GT1\",\"Remarks\":[1]}", ImportKind::Contacts, &map);
    insta::assert_snapshot!(json.join("\n"), @r#"
    1 external_id:GT1 {"attributes":{},"updated_at":"2027-01-15T08:00:00.000Z"}
    "#);
}

#[test]
fn an_identifier_that_stands_twice_is_told_with_both_lines() {
    let text = b"external_id,card\nGT1,1\nGT2,2\nGT1,3\nGT4,2\n";
    let rows = read(text, ImportKind::Contacts);
    assert!(rows[2].ends_with(" ExternalId as on line 2"), "{}", rows[2]);
    assert!(rows[3].ends_with(" Card as on line 3"), "{}", rows[3]);
    // Cards listed one by one are no repetition; a customer id with two external ids is.
    assert!(read(b"external_id,card\nGT1,1\nGT1,2\n", ImportKind::Aliases).iter().all(|row| !row.contains("as on")));
    let rows = read(b"customer_id,external_id\n1,GT1\n1,GT2\n", ImportKind::Aliases);
    assert!(rows[1].ends_with(" CustomerId as on line 2"), "{}", rows[1]);
}

#[test]
fn a_placeholder_for_an_identifier_is_none_in_every_format() {
    let rows = ["1 customer_id:31", "2 has no identifier"];
    let csv = b"customer_id,external_id,first_name\n31,NULL,Anna\n-,n/a,Bob\n";
    let json = b"{\"customer_id\":31,\"external_id\":\"NULL\",\"first_name\":\"Anna\"}\n\
        {\"customer_id\":0,\"external_id\":[\"n/a\",\"\"],\"first_name\":\"Bob\"}\n";
    for (text, first) in [(&csv[..], 2), (&json[..], 1)] {
        let read = read(text, ImportKind::Contacts);
        assert!(read[0].starts_with(&format!("{first}{} {{", &rows[0][1..])), "{read:?}");
        assert_eq!(read[1], format!("line {}: has no identifier", first + 1));
    }
    let aliases = read(b"customer_id,external_id\n31,none\n", ImportKind::Aliases);
    assert_eq!(aliases, ["line 2: has fewer than two identifiers"]);
}

#[test]
fn a_contact_that_fits_no_record_is_refused_while_it_is_read() {
    let attributes: Vec<String> = (0..5).map(|n| format!("\"a{n}\":\"{}\"", "x".repeat(8_000))).collect();
    let line = format!("{{\"card\":1,\"attributes\":{{{}}}}}", attributes.join(","));
    let rows = read(line.as_bytes(), ImportKind::Contacts);
    assert!(rows[0].starts_with("line 1: contact would take 40"), "{}", rows[0]);
}

#[test]
fn rows_reach_the_vault_and_leave_alone_what_they_do_not_say() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(dir.path(), &Keyring::generate(), 4 << 20).unwrap();
    let namespace: Namespace = "main".parse().unwrap();
    let files: [(&str, ImportKind); 3] = [
        ("external_id,first_name,email\nGT1,Asha,asha@example.in\n", ImportKind::Contacts),
        ("customer_id,external_id\n381,GT1\n", ImportKind::Aliases),
        ("customer_id,first_name,email,locale\n381,,,hi\n", ImportKind::Contacts),
    ];
    let mut woken = Vec::new();
    for (text, kind) in files {
        for row in Import::open(text.as_bytes(), kind, HeaderMap::default(), NOW).ok().unwrap() {
            let row = row.ok().unwrap();
            let learned = match row.contact {
                Some(contact) => vault.put(&namespace, &row.aliases, contact, PutMode::Patch),
                None => vault.link(&namespace, &row.aliases, row.at),
            };
            woken.push(learned.unwrap().woken.len());
        }
    }
    assert_eq!(woken, [2, 1, 0]);
    let alias = vault.alias(&namespace, &NamedAlias { kind: AliasKind::CustomerId, value: Personal::new(" 381 ") });
    let Resolution::Known(id) = vault.resolve(&namespace, &[alias], Time::MAX).unwrap() else { panic!("not known") };
    let contact = vault.contact(id).unwrap().unwrap();
    assert_eq!(contact.first_name.unwrap().expose(), "Asha");
    assert_eq!(contact.email.unwrap().expose(), "asha@example.in");
    assert_eq!(contact.locale.as_deref(), Some("hi"));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_rows_or_faults_and_never_a_panic(bytes: Vec<u8>, head in 0..4usize) {
        let head: &[u8] = [b"".as_slice(), b"card,mobile,updated_at\n", b"{\"card\":\"1\"}\n{", b"\x1f\x8b"][head];
        let text = [head, &bytes].concat();
        read(&text, ImportKind::Contacts);
    }
}
