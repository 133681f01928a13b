"""Files of an export: one bad line costs a line, a broken end costs the end."""

import gzip
import json

import pytest
from records import bundle, encode, lab, ndjson, patient, written

from fhir_mappings.errors import NotFHIRError
from fhir_mappings.records import files
from fhir_mappings.records.files import export_files, pieces

LINES = ndjson(patient(), lab("one", 0), lab("two", 1))


def whole(found):
    return [piece for piece in found if piece.fault is None]


def test_lines_are_numbered_from_one(tmp_path):
    found = list(pieces(written(tmp_path / "a.ndjson", LINES)))
    assert [piece.line for piece in found] == [1, 2, 3]
    assert found[1].raw.strip() == encode(lab("one", 0))
    assert found[1].file == "a.ndjson"


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_blank_lines_count_but_say_nothing(tmp_path, ending):
    content = ending.join([encode(patient()), b"", b"   ", encode(lab("one", 0))])
    assert [piece.line for piece in pieces(written(tmp_path / "a.ndjson", content))] == [1, 4]


def test_file_is_unzipped_by_what_it_is_and_not_by_its_name(tmp_path):
    zipped = written(tmp_path / "a.ndjson", LINES, zipped=True)
    assert [piece.raw for piece in pieces(zipped)] == LINES.splitlines(keepends=True)


def test_several_gzip_members_are_one_file(tmp_path):
    lines = LINES.splitlines(keepends=True)
    content = b"".join(gzip.compress(line) for line in lines)
    assert [piece.raw for piece in pieces(written(tmp_path / "a.ndjson.gz", content))] == lines


@pytest.mark.parametrize("zipped", [False, True])
def test_empty_file_has_no_pieces(tmp_path, zipped):
    assert list(pieces(written(tmp_path / "a.ndjson", b"", zipped=zipped))) == []


@pytest.mark.parametrize("kept", [1, 2, 40])
def test_truncated_gzip_gives_its_readable_lines_and_reports_the_break(tmp_path, kept):
    # The lines before the break are compressed by themselves, so that exactly they are readable.
    before = ndjson(*(lab(f"lab-{number}", number) for number in range(kept)))
    after = gzip.compress(ndjson(*(lab(f"late-{number}", number) for number in range(200))))
    file = written(tmp_path / "a.ndjson.gz", gzip.compress(before) + after[: len(after) // 2])
    found = list(pieces(file))
    faults = [piece for piece in found if piece.fault is not None]
    assert b"".join(piece.raw for piece in whole(found)[:kept]) == before
    assert len(faults) == 1
    assert faults[0] is found[-1]
    assert faults[0].line == len(whole(found)) + 1
    assert "break off" in faults[0].fault.reason


def test_gzip_that_breaks_off_within_the_second_line_keeps_the_first(tmp_path):
    content = gzip.compress(encode(patient()) + b"\n") + gzip.compress(encode(lab("a", 0)))[:-20]
    found = list(pieces(written(tmp_path / "a.ndjson.gz", content)))
    assert [piece.raw.strip() for piece in whole(found)] == [encode(patient())]
    assert [(piece.line, bool(piece.fault)) for piece in found] == [(1, False), (2, True)]


def test_gzip_with_a_false_checksum_is_reported(tmp_path):
    content = bytearray(gzip.compress(LINES))
    content[-6] ^= 0xFF
    found = list(pieces(written(tmp_path / "a.ndjson.gz", bytes(content))))
    assert [bool(piece.fault) for piece in found][-1]


def test_line_longer_than_can_be_held_is_reported_and_not_read_on(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST", 10_000)
    bomb = gzip.compress(ndjson(patient()) + b'{"a":"' + b"0" * 1_000_000 + b'"}\n' + LINES)
    found = list(pieces(written(tmp_path / "a.ndjson.gz", bomb)))
    assert [(piece.line, bool(piece.fault)) for piece in found] == [(1, False), (2, True)]
    assert found[1].raw == b""


@pytest.mark.parametrize("first", [b'{"resourceType":"Pati', b"}{", b"\xef\xbb\xbf{}", b"\xff\xfe"])
def test_ndjson_whose_first_line_is_broken_is_still_ndjson(tmp_path, first):
    found = list(pieces(written(tmp_path / "a.ndjson", first + b"\n" + LINES)))
    assert [piece.raw for piece in found[1:]] == LINES.splitlines(keepends=True)
    assert [piece.line for piece in found] == [1, 2, 3, 4]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("indent", [0, 1, 2, "\t"])
def test_pretty_printed_bundle_is_one_document(tmp_path, indent, zipped):
    text = json.dumps(json.loads(bundle(patient(), lab("a", 0))), indent=indent).encode()
    found = list(pieces(written(tmp_path / "a.json", text, zipped=zipped)))
    assert [(piece.line, piece.raw) for piece in found] == [(1, text)]


def test_single_line_without_a_line_break_is_read(tmp_path):
    assert len(list(pieces(written(tmp_path / "a.json", bundle(patient()))))) == 1


def test_files_below_a_folder_come_in_name_order_whatever_their_case(tmp_path):
    for name in ("b.ndjson", "a.json.gz", "deep/c.NDJSON", "notes.txt", "d.jsonl"):
        written(tmp_path / name, b"")
    names = [file.relative_to(tmp_path).as_posix() for file in export_files(tmp_path)]
    assert names == ["a.json.gz", "b.ndjson", "d.jsonl", "deep/c.NDJSON"]


def test_file_named_outright_is_read_whatever_its_name(tmp_path):
    file = written(tmp_path / "export.txt", b"")
    assert export_files(file) == [file]


def test_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(NotFHIRError, match="no such file"):
        export_files(tmp_path / "absent")


def test_folder_without_a_file_of_fhir_is_refused(tmp_path):
    written(tmp_path / "readme.md", b"")
    with pytest.raises(NotFHIRError, match="no file ending in"):
        export_files(tmp_path)
