use alloc::{boxed::Box, vec, vec::Vec};

use bytes::{Bytes, BytesMut};
use minicbor::Decoder;
use quickcheck::quickcheck;

use super::{DecodeError, ListForm, Reader, Writer};
use crate::base::{Hash32, Point, Tip};

fn hex(text: &str) -> Bytes {
    let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap();
    let digits: Vec<u8> = text.bytes().map(digit).collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect::<Vec<u8>>()
        .into()
}

fn read<T>(
    text: &str,
    read: impl FnOnce(&mut Reader<'static>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let bytes: &'static Bytes = Box::leak(Box::new(hex(text)));
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader)?;
    reader.end()?;
    Ok(value)
}

#[test]
fn a_number_may_have_a_head_of_any_width_but_not_leave_its_range() {
    for wide in ["17", "1817", "190017", "1a00000017", "1b0000000000000017"] {
        assert_eq!(read(wide, Reader::u8), Ok(23));
        assert_eq!(read(wide, Reader::u16), Ok(23));
        assert_eq!(read(wide, Reader::u32), Ok(23));
        assert_eq!(read(wide, Reader::u64), Ok(23));
    }
    assert_eq!(
        read("190100", Reader::u8),
        Err(DecodeError::Range { at: 0 })
    );
    assert_eq!(
        read("1a00010000", Reader::u16),
        Err(DecodeError::Range { at: 0 })
    );
    assert_eq!(
        read("1b0000000100000000", Reader::u32),
        Err(DecodeError::Range { at: 0 })
    );
    assert_eq!(
        read("20", Reader::u64),
        Err(DecodeError::Unexpected { at: 0 })
    );
    assert_eq!(
        read("1c", Reader::u64),
        Err(DecodeError::Unexpected { at: 0 })
    );
    assert_eq!(read("19", Reader::u64), Err(DecodeError::Short));
    assert_eq!(read("", Reader::u64), Err(DecodeError::Short));
    assert_eq!(
        read("0000", Reader::u64),
        Err(DecodeError::Trailing { left: 1 })
    );
}

#[test]
fn a_truth_value_is_one_of_two_bytes() {
    assert_eq!(read("f4", Reader::bool), Ok(false));
    assert_eq!(read("f5", Reader::bool), Ok(true));
    for other in ["f6", "f7", "01", "f814"] {
        assert_eq!(
            read(other, Reader::bool),
            Err(DecodeError::Unexpected { at: 0 })
        );
    }
}

#[test]
fn byte_strings_are_definite_and_shared() {
    let bytes = hex("430a0b0c");
    let slice = Reader::new(&bytes).bytes().unwrap();
    assert_eq!(slice.as_ref(), [10, 11, 12]);
    assert_eq!(slice.as_ptr(), bytes[1..].as_ptr());
    assert_eq!(read("5903", Reader::bytes), Err(DecodeError::Short));
    assert_eq!(
        read("5bffffffffffffffff00", Reader::bytes),
        Err(DecodeError::Short)
    );
    assert_eq!(
        read("5f4101ff", Reader::bytes),
        Err(DecodeError::Unexpected { at: 0 })
    );
    assert_eq!(
        read("d8184101", Reader::wrapped),
        Ok(Bytes::from_static(&[1]))
    );
    assert_eq!(
        read("d900184101", Reader::wrapped),
        Ok(Bytes::from_static(&[1]))
    );
    assert_eq!(
        read("d8194101", Reader::wrapped),
        Err(DecodeError::Unexpected { at: 0 })
    );
    assert_eq!(
        read("4101", Reader::wrapped),
        Err(DecodeError::Unexpected { at: 0 })
    );
    assert_eq!(read("6161", |r| r.text().map(str::len)), Ok(1));
    assert_eq!(
        read("61ff", |r| r.text().map(str::len)),
        Err(DecodeError::Unexpected { at: 0 })
    );
}

fn numbers(form: ListForm, text: &str) -> Result<Vec<u8>, DecodeError> {
    read(text, |reader| {
        let mut list = reader.list(form, 3)?;
        let mut out = Vec::new();
        while reader.more(&mut list)? {
            out.push(reader.u8()?);
        }
        Ok(out)
    })
}

#[test]
fn lists_keep_their_form_and_their_maximum() {
    use ListForm::{Definite, Either, Indefinite};
    let wrong = DecodeError::ListForm { at: 0 };
    for (form, definite, indefinite) in [
        (Definite, true, false),
        (Indefinite, false, true),
        (Either, true, true),
    ] {
        for (text, empty, legal) in [("820102", "80", definite), ("9f0102ff", "9fff", indefinite)] {
            let want = if legal { Ok(vec![1, 2]) } else { Err(wrong) };
            assert_eq!(numbers(form, text), want, "{form:?} {text}");
            let want = if legal { Ok(vec![]) } else { Err(wrong) };
            assert_eq!(numbers(form, empty), want, "{form:?} {empty}");
        }
    }
    assert_eq!(numbers(Either, "83010203"), Ok(vec![1, 2, 3]));
    assert_eq!(
        numbers(Either, "8401020304"),
        Err(DecodeError::TooMany { max: 3 })
    );
    assert_eq!(
        numbers(Either, "9f01020304ff"),
        Err(DecodeError::TooMany { max: 3 })
    );
    assert_eq!(
        numbers(Either, "9bffffffffffffffff01"),
        Err(DecodeError::Short)
    );
    assert_eq!(numbers(Either, "9f01"), Err(DecodeError::Short));
    assert_eq!(
        numbers(Either, "a10101"),
        Err(DecodeError::Unexpected { at: 0 })
    );
}

#[test]
fn points_and_tips_have_exactly_their_items() {
    let hash = ["5820", &"07".repeat(32)].concat();
    let block = Point::Block {
        slot: 5,
        hash: Hash32([7; 32]),
    };
    assert_eq!(read("80", Reader::point), Ok(Point::Origin));
    assert_eq!(read(&["8205", &hash].concat(), Reader::point), Ok(block));
    assert_eq!(
        read("8105", Reader::point),
        Err(DecodeError::Items { want: 2, got: 1 })
    );
    assert_eq!(
        read("82054101", Reader::point),
        Err(DecodeError::Range { at: 2 })
    );
    assert_eq!(
        read("9fff", Reader::point),
        Err(DecodeError::ListForm { at: 0 })
    );
    assert_eq!(read("828009", Reader::tip), Ok(Tip::ORIGIN));
    let tip = ["828205", &hash, "09"].concat();
    assert_eq!(
        read(&tip, Reader::tip),
        Ok(Tip {
            point: block,
            block_no: 9
        })
    );
}

#[test]
fn any_item_is_passed_over_to_its_end_and_no_further() {
    let items = [
        "00",
        "1bffffffffffffffff",
        "20",
        "3903e8",
        "40",
        "4101",
        "5f41014102ff",
        "60",
        "6161",
        "7f61616162ff",
        "80",
        "820102",
        "9fff",
        "9f019f02ffff",
        "a0",
        "a10102",
        "bfff",
        "bf0102ff",
        "c101",
        "d8184101",
        "f4",
        "f6",
        "f7",
        "f820",
        "f93c00",
        "fa00000000",
        "fb0000000000000000",
        "8200820082839f8200d81841a0ff80a080",
    ];
    for item in items {
        let len = item.len() / 2;
        assert_eq!(read(item, |r| r.raw().map(|b| b.len())), Ok(len), "{item}");
        let longer = [item, "00"].concat();
        assert_eq!(
            read(&longer, Reader::skip),
            Err(DecodeError::Trailing { left: 1 }),
            "{item}"
        );
        let shorter = &item[..item.len() - 2];
        assert_eq!(
            read(shorter, Reader::skip),
            Err(DecodeError::Short),
            "{item}"
        );
    }
    for bad in [
        "ff", "1c", "3d", "5c", "7e", "9c", "bd", "dc", "fc", "5f00ff", "5f6161ff", "bf01ff",
        "81ff",
    ] {
        let got = read(bad, Reader::skip);
        assert!(
            matches!(got, Err(DecodeError::Unexpected { .. })),
            "{bad} {got:?}"
        );
    }
    assert_eq!(
        read("9bffffffffffffffff", Reader::skip),
        Err(DecodeError::Short)
    );
    assert_eq!(
        read("bbffffffffffffffff", Reader::skip),
        Err(DecodeError::Short)
    );
    let deep = ["81".repeat(10_000), "00".into()].concat();
    assert_eq!(read(&deep, Reader::skip), Ok(()));
    let deep = ["9f".repeat(10_000), "ff".repeat(10_000)].concat();
    assert_eq!(read(&deep, Reader::skip), Err(DecodeError::Depth));
}

#[test]
fn a_key_that_is_no_number_is_passed_over() {
    assert_eq!(read("0e", Reader::number_or_skip), Ok(Some(14)));
    assert_eq!(read("6161", Reader::number_or_skip), Ok(None));
    assert_eq!(read("820102", Reader::number_or_skip), Ok(None));
    assert_eq!(read("", Reader::number_or_skip), Err(DecodeError::Short));
}

/// Whether two readers agree on one token: both refuse it, or both read the same to the same place.
fn agree<'a, T: PartialEq>(
    bytes: &'a Bytes,
    ours: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    theirs: impl FnOnce(&mut Decoder<'a>) -> Result<T, minicbor::decode::Error>,
) -> bool {
    let (mut reader, mut decoder) = (Reader::new(bytes), Decoder::new(bytes));
    match (ours(&mut reader), theirs(&mut decoder)) {
        (Ok(ours), Ok(theirs)) => ours == theirs && reader.position() == decoder.position(),
        (Err(_), Err(_)) => true,
        _ => false,
    }
}

quickcheck! {
    /// Every token is read as an implementation that nobody here wrote reads it.
    fn minicbor_reads_the_same_tokens(first: u8, rest: Vec<u8>) -> bool {
        let bytes = Bytes::from([&[first], rest.as_slice()].concat());
        agree(&bytes, Reader::u64, Decoder::u64)
            && agree(&bytes, Reader::u16, Decoder::u16)
            && agree(&bytes, Reader::bool, Decoder::bool)
            && agree(&bytes, Reader::slice, Decoder::bytes)
            && agree(&bytes, Reader::text, Decoder::str)
            && agree(&bytes, Reader::wrapped_slice, |tokens| {
                match tokens.tag()?.as_u64() {
                    24 => tokens.bytes(),
                    _ => Err(minicbor::decode::Error::message("another tag")),
                }
            })
    }

    /// What is written is read again, and takes the shortest form.
    fn numbers_come_back(value: u64) -> bool {
        let mut out = BytesMut::new();
        Writer::new(&mut out).u64(value);
        let want = match value {
            0..24 => 1,
            24..0x100 => 2,
            0x100..0x1_0000 => 3,
            0x1_0000..0x1_0000_0000 => 5,
            _ => 9,
        };
        out.len() == want && Reader::new(&out.freeze()).u64() == Ok(value)
    }

    /// What is written is read again.
    fn points_and_tips_come_back(slot: u64, byte: u8, block_no: u64, origin: bool) -> bool {
        let hash = Hash32([byte; 32]);
        let point = if origin { Point::Origin } else { Point::Block { slot, hash } };
        let tip = Tip { point, block_no: if origin { 0 } else { block_no } };
        let mut out = BytesMut::new();
        Writer::new(&mut out).point(&point).tip(&tip);
        let out = out.freeze();
        let mut reader = Reader::new(&out);
        reader.point() == Ok(point) && reader.tip() == Ok(tip) && reader.end() == Ok(())
    }

    /// No bytes make a reader panic, and what it passes over lies inside them.
    fn any_bytes_are_skipped_or_refused(bytes: Vec<u8>) -> bool {
        let bytes = Bytes::from(bytes);
        let mut reader = Reader::new(&bytes);
        reader.raw().is_err() || reader.position() <= bytes.len()
    }
}
