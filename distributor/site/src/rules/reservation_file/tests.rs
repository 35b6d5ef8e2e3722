use super::*;

fn entry(name: &str) -> Entry {
    Entry { name: ComputerName::new(name).unwrap(), channel: None, group: None, serial: None }
}

/// The names of a file whose lines can all be read.
fn names(bytes: &[u8]) -> Vec<String> {
    let lines = read(bytes).unwrap();
    lines.into_iter().map(|line| line.entry.unwrap().name.to_string()).collect()
}

/// The lines that cannot be read, with why.
fn flaws(bytes: &[u8]) -> Vec<(u64, String)> {
    let lines = read(bytes).unwrap();
    lines.into_iter().filter_map(|line| Some((line.number, line.entry.err()?.to_string()))).collect()
}

#[test]
fn a_list_of_names_is_a_file_whatever_ends_its_lines() {
    for text in [
        "pc-1\npc-2\n",
        "pc-1\r\npc-2\r\n",
        "pc-1\rpc-2",
        "\u{feff}pc-1\npc-2",
        "\n# the laboratory\n  pc-1  \n\n\"pc-2\"\n# the end",
        "name\npc-1\npc-2",
        "\u{feff}NAME,Channel,,\r\npc-1,,,\r\npc-2,,\r\n",
        "pc-1,,,,,,\npc-2",
    ] {
        assert_eq!(names(text.as_bytes()), ["pc-1", "pc-2"], "{text:?}");
    }
}

#[test]
fn columns_come_in_any_order_if_they_are_named_and_in_theirs_if_not() {
    let serial = SerialNumber::from_random([1; 19]);
    let whole = Entry {
        channel: Some(ChannelName::new("beta").unwrap()),
        group: Some(GroupName::new("lab").unwrap()),
        serial: Some(serial.clone()),
        ..entry("büro-7")
    };
    for text in [
        format!("serial;group;name;channel\n{serial};lab;büro-7;beta"),
        format!("büro-7,beta,lab,{serial}"),
        format!("name\tchannel\tgroup\tserial\nBÜRO-7\tbeta\tlab\t{serial}"),
        format!("\"büro-7\" ,\"beta\", lab , {serial} "),
    ] {
        let lines = read(text.as_bytes()).unwrap();
        assert_eq!(
            lines.into_iter().map(|line| line.entry).collect::<Vec<_>>(),
            [Ok(whole.clone())],
            "{text}"
        );
    }
}

#[test]
fn a_line_that_cannot_be_read_is_named_with_its_number_and_the_rest_is_read() {
    let mut text =
        b"name,channel\npc-1,beta\nno name at all\n\n,beta\npc-2,Beta!\npc-\xff\npc-3,beta,lab\npc-4\n"
            .to_vec();
    text.extend(b"x".repeat(1_000_000));
    text.extend(b"\npc-5\n");
    let found = flaws(&text);
    let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [3, 5, 6, 7, 8, 10], "{found:?}");
    let said: Vec<&str> = found.iter().map(|(_, said)| said.as_str()).collect();
    assert!(said[0].contains("no name at all"), "{said:?}");
    assert_eq!(said[1], "it has no name");
    assert!(said[2].contains("Beta!"), "{said:?}");
    assert_eq!(said[3], "its text is not UTF-8; save the file as UTF-8");
    assert_eq!(said[4], "it has 3 cells, and the file has 2 columns");
    assert!(said[5].starts_with("its name has 1000000 bytes and begins with `xxxx"), "{said:?}");
    assert!(said.iter().all(|said| said.len() < 200), "{said:?}");
    let read = read(&text).unwrap();
    let good = read.into_iter().filter_map(|line| Some(line.entry.ok()?.name.to_string()));
    assert_eq!(good.collect::<Vec<_>>(), ["pc-1", "pc-4", "pc-5"]);
}

#[test]
fn a_quote_that_is_not_closed_swallows_no_line() {
    let text = b"pc-1\n\"pc-2\npc-3,\"beta\n\"pc-4\"\n\"pc\"\"5\"";
    let found = flaws(text);
    assert_eq!(found[..2], [2, 3].map(|line| (line, "a quote in it is not closed".to_owned())));
    // Two quotes within a quoted cell are one, which is in no name.
    assert!(found[2].0 == 5 && found[2].1.contains("pc\\\"5"), "{found:?}");
    let good = read(text).unwrap().into_iter().filter_map(|line| Some(line.entry.ok()?.name.to_string()));
    assert_eq!(good.collect::<Vec<_>>(), ["pc-1", "pc-4"]);
}

#[test]
fn what_would_lose_lines_or_be_guessed_refuses_the_file() {
    let of = |bytes: &[u8]| read(bytes).unwrap_err();
    assert_eq!(of(b"name,chanel\npc-1,beta"), FileFlaw::UnknownColumn { name: "chanel".to_owned() });
    for heading in ["Hostname", "computer", "Computer Name;Channel", "channel,PC"] {
        let file = format!("{heading}\npc-1\n");
        assert!(matches!(of(file.as_bytes()), FileFlaw::NoNameColumn { .. }), "{heading}");
    }
    assert_eq!(of(b"name,,channel\npc-1,,beta"), FileFlaw::UnknownColumn { name: String::new() });
    assert_eq!(of(b"name,name\npc-1,pc-2"), FileFlaw::TwoColumns { name: "name" });
    for nobody in ["", "\n\n", "# nobody\n", "name,channel\n", ",,,\n", "\u{feff}"] {
        assert_eq!(of(nobody.as_bytes()), FileFlaw::Empty, "{nobody:?}");
    }
    assert_eq!(of(b"\xff\xfep\0c\0-\x001\0"), FileFlaw::Utf16);
    assert_eq!(of(&vec![b'\n'; MAX_BYTES + 1]), FileFlaw::TooLong { bytes: MAX_BYTES + 1 });
    assert_eq!(of("a\n".repeat(MAX_LINES + 1).as_bytes()), FileFlaw::TooManyLines);
}

#[test]
fn what_is_repeated_of_a_file_moves_no_cursor() {
    let flaw = read("name,\u{1b}[2Jchannel\npc-1,".as_bytes()).unwrap_err().to_string();
    assert!(flaw.chars().all(|character| !character.is_control()), "{flaw:?}");
    for (_, said) in flaws("\u{1b}[2Jpc\npc-2,\u{202e}beta\n".as_bytes()) {
        assert!(said.chars().all(|character| !character.is_control()), "{said:?}");
    }
}
