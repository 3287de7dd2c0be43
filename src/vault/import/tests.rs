//! Files as brands really have them: marks, quotes, line ends, bad rows.

use super::*;
use crate::seal::Keyring;
use crate::vault::Resolution;

const NOW: Time = Time::from_millis(1_800_000_000_000);

/// Rows and faults as short texts, so that a whole file can be compared at a glance.
fn read(text: &[u8], kind: ImportKind) -> Vec<String> {
    let import = match Import::open(text, kind, NOW) {
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
                format!("{} {}", row.line, parts.collect::<Vec<_>>().join(" "))
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
            b"external_id,phone\n",
            ImportKind::Contacts,
            "column 2 `phone` is not known; expected customer_id, external_id",
        ),
        (b"external_id,attr.\n", ImportKind::Contacts, "column 2 `attr.` is not known"),
        (b"external_id,GT0042\n", ImportKind::Contacts, "column 2 `(not a plain name)` is not known"),
        (
            b"external_id,card,mobile\n",
            ImportKind::Aliases,
            "column 3 `mobile` is not known; expected customer_id, external_id, card, card_external_id, updated_at",
        ),
        (b"card,card\n", ImportKind::Contacts, "column `card` stands there twice"),
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
        (b"\xff\xfec\0a\0", ImportKind::Contacts, "header line is not UTF-8"),
    ];
    for (text, kind, expected) in cases {
        let said = read(text, *kind).join("\n");
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_quote_that_is_never_closed_ends_the_reading_within_bounds() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let begin = b"card,first_name\n1,Asha\n2,\"";
            if self.0 == 0 {
                buffer[..begin.len()].copy_from_slice(begin);
                self.0 = begin.len() as u64;
                return Ok(begin.len());
            }
            self.0 += buffer.len() as u64;
            assert!(self.0 < 4 * ROW_LIMIT, "read on and on");
            buffer.fill(b'x');
            Ok(buffer.len())
        }
    }
    let rows: Vec<_> = Import::open(Endless(0), ImportKind::Contacts, NOW).ok().unwrap().collect();
    assert_eq!(rows.len(), 2);
    let fault = rows[1].as_ref().err().unwrap().to_string();
    assert_eq!(fault, "line 3: row is longer than 524288 bytes (a quote that is not closed?); reading ends here");
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
        for row in Import::open(text.as_bytes(), kind, NOW).ok().unwrap() {
            woken.push(vault.apply_row(&namespace, row.ok().unwrap()).unwrap().woken.len());
        }
    }
    assert_eq!(woken, [2, 1, 0]);
    let alias = vault.alias(&namespace, &NamedAlias { kind: AliasKind::CustomerId, value: Personal::new(" 381 ") });
    let Resolution::Known(id) = vault.resolve(&namespace, &[alias]).unwrap() else { panic!("not known") };
    let contact = vault.contact(id).unwrap().unwrap();
    assert_eq!(contact.first_name.unwrap().expose(), "Asha");
    assert_eq!(contact.email.unwrap().expose(), "asha@example.in");
    assert_eq!(contact.locale.as_deref(), Some("hi"));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_rows_or_faults_and_never_a_panic(bytes: Vec<u8>, headed: bool) {
        let text = if headed { [b"card,mobile,updated_at\n".as_slice(), &bytes].concat() } else { bytes };
        read(&text, ImportKind::Contacts);
    }
}
