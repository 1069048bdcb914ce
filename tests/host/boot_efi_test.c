/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the UEFI loader's parts that know nothing of firmware:
 * boot_efi_elf, _text, _map, _tables. */
#include "tests/expect.h"

#include "arch/boot_efi_elf.h"
#include "arch/boot_efi_map.h"
#include "arch/boot_efi_tables.h"
#include "arch/boot_efi_text.h"
#include "base/bytes.h"
#include "kernel/boot_info.h"

/* ---- boot_efi_elf ---- */

#define ELF_FILE_BYTES 1024
#define ELF_VA 0xffffffff80200000ull
#define ELF_HEADER_BYTES 64
#define ELF_PROGRAM_BYTES 56

static void put(uint8_t *file, size_t offset, uint64_t value, size_t bytes)
{
        for (size_t i = 0; i < bytes; i++)
                file[offset + i] = (uint8_t)(value >> (8 * i));
}

/* One program header; fields by their offsets in figure 6. */
static void put_program(uint8_t *file, size_t index, uint32_t flags, const uint64_t fields[4])
{
        size_t at = ELF_HEADER_BYTES + index * ELF_PROGRAM_BYTES;
        put(file, at, 1, 4);
        put(file, at + 4, flags, 4);
        put(file, at + 8, fields[0], 8);       /* file offset */
        put(file, at + 16, fields[1], 8);      /* va */
        put(file, at + 24, 0x200000 + at, 8);  /* pa: must not matter */
        put(file, at + 32, fields[2], 8);      /* bytes in the file */
        put(file, at + 40, fields[3], 8);      /* bytes in memory */
}

/* A kernel of two segments: 16 bytes of code at the start of page 0, 8 bytes of data and a bss that
 * reaches into page 3, placed at byte 0x10 of page 2. */
static void make_elf(uint8_t *file)
{
        static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
        memset(file, 0, ELF_FILE_BYTES);
        memcpy(file, ident, sizeof(ident));
        put(file, 16, 2, 2);                 /* type: executable */
        put(file, 18, 62, 2);                /* machine: x86-64 */
        put(file, 20, 1, 4);                 /* version */
        put(file, 24, ELF_VA + 4, 8);        /* entry */
        put(file, 32, ELF_HEADER_BYTES, 8);  /* program headers */
        put(file, 52, ELF_HEADER_BYTES, 2);
        put(file, 54, ELF_PROGRAM_BYTES, 2);
        put(file, 56, 2, 2);
        put_program(file, 0, 5, (const uint64_t[4]){512, ELF_VA, 16, 16});
        put_program(file, 1, 6, (const uint64_t[4]){1000, ELF_VA + 0x2010, 8, 0x1000});
        memset(file + 512, 0xc0, 16);
        memset(file + 1000, 0xda, 8);
}

TEST(boot_efi_elf, lays_out_segments_and_zeroes_the_rest)
{
        uint8_t file[ELF_FILE_BYTES];
        struct efi_elf elf;
        make_elf(file);
        REQUIRE_EQ(efi_elf_check(file, sizeof(file), &elf), EFI_ELF_OK);
        EXPECT_EQ(elf.entry_va, ELF_VA + 4);
        EXPECT_EQ(elf.image_va, ELF_VA);
        EXPECT_EQ(elf.image_bytes, 4 * PAGE_BYTES);

        uint8_t *image = world_pages(t, 4, NULL);
        memset(image, 0x55, elf.image_bytes);
        efi_elf_load(&elf, image);
        EXPECT_BYTES_EQ(image, file + 512, 16);
        EXPECT_BYTES_EQ(image + 0x2010, file + 1000, 8);
        size_t others = 0;
        for (size_t i = 0; i < elf.image_bytes; i++)
                others += image[i] != 0 && image[i] != 0xc0 && image[i] != 0xda;
        EXPECT_EQ(others, 0);
        EXPECT_EQ(image[16], 0);
        EXPECT_EQ(image[0x200f], 0);
        EXPECT_EQ(image[0x2018], 0);
}

TEST(boot_efi_elf, an_image_that_starts_inside_a_page)
{
        uint8_t file[ELF_FILE_BYTES];
        struct efi_elf elf;
        make_elf(file);
        put_program(file, 0, 5, (const uint64_t[4]){512, ELF_VA + 0x800, 16, 16});
        put(file, 24, ELF_VA + 0x80f, 8);
        REQUIRE_EQ(efi_elf_check(file, sizeof(file), &elf), EFI_ELF_OK);
        EXPECT_EQ(elf.image_va, ELF_VA);
        EXPECT_EQ(elf.segments[0].image_offset, 0x800);
}

/* Each row breaks one thing of the good file. */
TEST(boot_efi_elf, refuses_each_broken_field)
{
        static const struct {
                size_t offset, bytes;
                uint64_t value;
                enum efi_elf_result expected;
        } rows[] = {
                {0, 1, 0x7e, EFI_ELF_NOT_ELF},
                {3, 1, 'f', EFI_ELF_NOT_ELF},
                {4, 1, 1, EFI_ELF_WRONG_KIND},    /* 32 bits */
                {5, 1, 2, EFI_ELF_WRONG_KIND},    /* big-endian */
                {6, 1, 0, EFI_ELF_WRONG_KIND},
                {16, 2, 3, EFI_ELF_WRONG_KIND},   /* shared object */
                {18, 2, 3, EFI_ELF_WRONG_KIND},   /* another machine */
                {20, 4, 0, EFI_ELF_WRONG_KIND},
                {54, 2, 55, EFI_ELF_BAD_HEADERS},
                {56, 2, 17, EFI_ELF_BAD_HEADERS},
                {32, 8, ELF_FILE_BYTES - 111, EFI_ELF_BAD_HEADERS},
                {32, 8, UINT64_MAX, EFI_ELF_BAD_HEADERS},
                {56, 2, 0, EFI_ELF_NO_SEGMENTS},
                {24, 8, ELF_VA + 16, EFI_ELF_BAD_ENTRY},      /* right behind the code */
                {24, 8, ELF_VA - 1, EFI_ELF_BAD_ENTRY},
                {24, 8, ELF_VA + 0x2010, EFI_ELF_BAD_ENTRY},  /* in data */
                {64 + 8, 8, ELF_FILE_BYTES - 15, EFI_ELF_SEGMENT_OUTSIDE},
                {64 + 8, 8, UINT64_MAX, EFI_ELF_SEGMENT_OUTSIDE},
                {64 + 32, 8, UINT64_MAX, EFI_ELF_SEGMENT_OUTSIDE},
                {64 + 32, 8, 17, EFI_ELF_SEGMENT_SIZES},
                {64 + 16, 8, 0xffffffff7ffffff0ull, EFI_ELF_SEGMENT_ADDRESS},
                {64 + 16, 8, 0x200000, EFI_ELF_SEGMENT_ADDRESS},
                {64 + 16, 8, UINT64_MAX - 8, EFI_ELF_SEGMENT_ADDRESS},
                {64 + 40, 8, UINT64_MAX, EFI_ELF_SEGMENT_ADDRESS},
                {64 + 40, 8, 0x2011, EFI_ELF_SEGMENTS_OVERLAP},
                {64 + 16, 8, ELF_VA + 0x3000, EFI_ELF_SEGMENTS_OVERLAP},
                {120 + 40, 8, EFI_ELF_IMAGE_BYTES_MAX - 0x200f, EFI_ELF_IMAGE_TOO_BIG},
        };
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                uint8_t file[ELF_FILE_BYTES];
                struct efi_elf elf;
                make_elf(file);
                put(file, rows[i].offset, rows[i].value, rows[i].bytes);
                if (!EXPECT_EQ(efi_elf_check(file, sizeof(file), &elf), rows[i].expected))
                        test_log(t, "row %u", (unsigned)i);
        }
}

TEST(boot_efi_elf, accepts_what_just_fits)
{
        uint8_t file[ELF_FILE_BYTES];
        struct efi_elf elf;
        make_elf(file);
        put(file, 120 + 40, EFI_ELF_IMAGE_BYTES_MAX - 0x2010, 8);
        put(file, 64 + 40, 0x2010, 8); /* up to the first byte of the second segment */
        EXPECT_EQ(efi_elf_check(file, sizeof(file), &elf), EFI_ELF_OK);
        EXPECT_EQ(elf.image_bytes, EFI_ELF_IMAGE_BYTES_MAX);
        /* A program header of another kind, however strange, is nobody's business. */
        make_elf(file);
        put(file, 120, 4, 4);
        put(file, 120 + 8, UINT64_MAX, 8);
        EXPECT_EQ(efi_elf_check(file, sizeof(file), &elf), EFI_ELF_OK);
        EXPECT_EQ(elf.segment_count, 1);
}

/* The buffer has exactly the bytes that are offered, so that a read behind them is seen. */
TEST(boot_efi_elf, survives_every_truncation)
{
        uint8_t file[ELF_FILE_BYTES];
        make_elf(file);
        uint8_t *page = world_pages(t, 1, NULL);
        for (size_t bytes = 0; bytes < 1008; bytes++) {
                struct efi_elf elf;
                uint8_t *end = page + PAGE_BYTES;
                memcpy(end - bytes, file, bytes);
                enum efi_elf_result result = efi_elf_check(end - bytes, bytes, &elf);
                EXPECT_EQ(result, bytes < 64    ? EFI_ELF_TOO_SHORT
                                  : bytes < 176 ? EFI_ELF_BAD_HEADERS
                                                : EFI_ELF_SEGMENT_OUTSIDE);
        }
}

/* ---- boot_efi_text ---- */

TEST(boot_efi_text, utf16_becomes_words)
{
        static const struct {
                const uint16_t *units;
                size_t count;
                enum efi_text_result result;
                const char *text;
        } rows[] = {
                {u"test=pmm.* log", 14, EFI_TEXT_OK, "test=pmm.* log"}, /* no terminator */
                {u"test=pmm.*\0junk\1", 16, EFI_TEXT_OK, "test=pmm.*"}, /* ends at the terminator */
                {u" \t a\r\nb \n", 9, EFI_TEXT_OK, "a  b"},
                {u"a b", 1, EFI_TEXT_OK, "a"},
                {u"~ ", 2, EFI_TEXT_OK, "~"},
                {NULL, 0, EFI_TEXT_EMPTY, ""},
                {u"", 1, EFI_TEXT_EMPTY, ""},
                {u"  \n", 3, EFI_TEXT_EMPTY, ""},
                {u"a\x7f", 2, EFI_TEXT_NOT_TEXT, ""},
                {u"a\x1f", 2, EFI_TEXT_NOT_TEXT, ""},
                {u"a\x0161", 2, EFI_TEXT_NOT_TEXT, ""}, /* its low byte would be a letter */
                {u"\xac4e\x1b14", 2, EFI_TEXT_NOT_TEXT, ""},
        };
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                char chars[32] = "before";
                struct efi_text text = {.chars = chars, .bytes = sizeof(chars), .truncated = true};
                EXPECT_EQ(efi_text_from_utf16(rows[i].units, rows[i].count, &text), rows[i].result);
                EXPECT_STR_EQ(chars, rows[i].text);
                EXPECT_FALSE(text.truncated);
        }
}

TEST(boot_efi_text, bytes_become_words)
{
        char chars[32];
        struct efi_text text = {.chars = chars, .bytes = sizeof(chars)};
        EXPECT_EQ(efi_text_from_bytes((const uint8_t *)"one\r\ntwo\r\n", 10, &text), EFI_TEXT_OK);
        EXPECT_STR_EQ(chars, "one  two");
        EXPECT_EQ(efi_text_from_bytes((const uint8_t *)"o\xff", 2, &text), EFI_TEXT_NOT_TEXT);
        EXPECT_STR_EQ(chars, "");
        EXPECT_EQ(efi_text_from_bytes(NULL, 0, &text), EFI_TEXT_EMPTY);
}

TEST(boot_efi_text, too_long_is_cut_and_flagged)
{
        char chars[5];
        struct efi_text text = {.chars = chars, .bytes = sizeof(chars)};
        EXPECT_EQ(efi_text_from_bytes((const uint8_t *)"abcd", 4, &text), EFI_TEXT_OK);
        EXPECT_STR_EQ(chars, "abcd");
        EXPECT_FALSE(text.truncated);
        EXPECT_EQ(efi_text_from_bytes((const uint8_t *)"abcd \n", 6, &text), EFI_TEXT_OK);
        EXPECT_FALSE(text.truncated);
        EXPECT_EQ(efi_text_from_bytes((const uint8_t *)"abcde", 5, &text), EFI_TEXT_OK);
        EXPECT_STR_EQ(chars, "abcd");
        EXPECT_TRUE(text.truncated);
        EXPECT_EQ(efi_text_from_utf16(u"abc  f", 6, &text), EFI_TEXT_OK);
        EXPECT_STR_EQ(chars, "abc");
        EXPECT_TRUE(text.truncated);
}

TEST(boot_efi_text, the_shells_program_name_goes)
{
        static const struct {
                const char *before, *after;
        } rows[] = {
                {"BOOTX64.EFI a b", "a b"}, {"fs0:\\x.efi", ""}, {"test=x.efi2 b", "test=x.efi2 b"},
                {"a b.efi", "a b.efi"},     {"efi a", "efi a"},  {"", ""},
                {".eFi  a", "a"},
        };
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                char chars[32] = {0};
                for (size_t j = 0; rows[i].before[j] != '\0'; j++)
                        chars[j] = rows[i].before[j];
                efi_text_drop_program_name(chars);
                EXPECT_STR_EQ(chars, rows[i].after);
        }
}

TEST(boot_efi_text, a_file_beside_another)
{
        static uint16_t folder[] = u"\\EFI\\x\\loader.efi", none[] = u"loader.efi";
        static const uint16_t expected[] = u"\\EFI\\x\\p.cmd";
        uint16_t units[13] = {0};
        struct efi_text_path beside = {units, ARRAY_COUNT(units)};
        REQUIRE_EQ(sizeof(expected), sizeof(units));
        EXPECT_TRUE(efi_text_beside(&(struct efi_text_path){folder, 18}, "p.cmd", &beside));
        EXPECT_BYTES_EQ(units, expected, sizeof(expected));
        EXPECT_TRUE(efi_text_beside(&(struct efi_text_path){none, 11}, "p.cmd", &beside));
        EXPECT_BYTES_EQ(units, u"p.cmd", 12);
        /* A path without terminator, and one unit too little for the result. */
        EXPECT_TRUE(efi_text_beside(&(struct efi_text_path){folder, 7}, "p.cmd", &beside));
        EXPECT_BYTES_EQ(units, expected, sizeof(expected));
        beside.unit_count = 12;
        units[0] = 'u';
        EXPECT_FALSE(efi_text_beside(&(struct efi_text_path){folder, 18}, "p.cmd", &beside));
        EXPECT_EQ(units[0], 'u');
}

/* ---- boot_efi_map ---- */

#define WRITE_BACK 8ull
#define MAP_STRIDE 48 /* OVMF's */

struct wide_descriptor {
        struct efi_map_descriptor descriptor;
        uint64_t later_version;
};
_Static_assert(sizeof(struct wide_descriptor) == MAP_STRIDE, "a stride larger than the structure");

static void convert(const struct wide_descriptor *descriptors, size_t count, struct boot_info *info)
{
        const struct efi_map map = {.descriptors = descriptors,
                                    .bytes = count * MAP_STRIDE,
                                    .descriptor_bytes = MAP_STRIDE};
        info->region_count = 77;
        info->regions_dropped = 77;
        efi_map_to_regions(&map, info);
}

TEST(boot_efi_map, every_type_becomes_what_it_should)
{
        static const enum boot_region_type expected[] = {
                BOOT_REGION_RESERVED, BOOT_REGION_LOADER,   BOOT_REGION_LOADER,
                BOOT_REGION_RAM,      BOOT_REGION_RAM,      BOOT_REGION_RESERVED,
                BOOT_REGION_RESERVED, BOOT_REGION_RAM,      BOOT_REGION_UNUSABLE,
                BOOT_REGION_ACPI_RECLAIM, BOOT_REGION_ACPI_NVS, BOOT_REGION_RESERVED,
                BOOT_REGION_RESERVED, BOOT_REGION_RESERVED, BOOT_REGION_RESERVED,
                BOOT_REGION_RESERVED, BOOT_REGION_RESERVED,
        };
        static struct boot_info info;
        for (uint32_t type = 0; type < ARRAY_COUNT(expected); type++) {
                struct wide_descriptor one = {{.type = type, .pa = 0x5000, .page_count = 3,
                                               .attributes = WRITE_BACK | 7}, 0};
                convert(&one, 1, &info);
                EXPECT_EQ(info.region_count, 1);
                EXPECT_EQ(info.regions[0].type, expected[type]);
                EXPECT_EQ(info.regions[0].pa, 0x5000);
                EXPECT_EQ(info.regions[0].bytes, 3 * PAGE_BYTES);

                /* What cannot be cached, or is set aside, is not handed out. */
                one.descriptor.attributes = 7;
                convert(&one, 1, &info);
                EXPECT_TRUE(info.regions[0].type >= BOOT_REGION_ACPI_RECLAIM);
                one.descriptor.attributes = WRITE_BACK | BIT_MASK(18);
                convert(&one, 1, &info);
                EXPECT_TRUE(info.regions[0].type >= BOOT_REGION_ACPI_RECLAIM);
        }
}

TEST(boot_efi_map, neighbours_of_one_type_become_one)
{
        static struct boot_info info;
        const struct wide_descriptor map[] = {
                {{.type = 7, .pa = 0, .page_count = 2, .attributes = WRITE_BACK}, 1},
                {{.type = 4, .pa = 0x2000, .page_count = 1, .attributes = WRITE_BACK}, 1},
                {{.type = 7, .pa = 0x3000, .page_count = 0, .attributes = WRITE_BACK}, 1},
                {{.type = 3, .pa = 0x3000, .page_count = 1, .attributes = WRITE_BACK}, 1},
                {{.type = 2, .pa = 0x4000, .page_count = 1, .attributes = WRITE_BACK}, 1},
                {{.type = 7, .pa = 0x5000, .page_count = 1, .attributes = WRITE_BACK}, 1},
                /* A gap. */
                {{.type = 7, .pa = 0x7000, .page_count = 1, .attributes = WRITE_BACK}, 1},
        };
        convert(map, ARRAY_COUNT(map), &info);
        REQUIRE_EQ(info.region_count, 4);
        EXPECT_EQ(info.regions_dropped, 0);
        EXPECT_EQ(info.regions[0].pa, 0);
        EXPECT_EQ(info.regions[0].bytes, 0x4000);
        EXPECT_EQ(info.regions[1].type, BOOT_REGION_LOADER);
        EXPECT_EQ(info.regions[2].bytes, 0x1000);
        EXPECT_EQ(info.regions[3].pa, 0x7000);
}

TEST(boot_efi_map, what_wraps_or_finds_no_room_is_counted)
{
        static struct boot_info info;
        const struct wide_descriptor wrapping[] = {
                {{.type = 7, .pa = UINT64_MAX - 0xfff, .page_count = 1,
                  .attributes = WRITE_BACK}, 0},
                {{.type = 7, .pa = 0x1000, .page_count = UINT64_MAX / 4096 + 1,
                  .attributes = WRITE_BACK}, 0},
                {{.type = 7, .pa = 0x1000, .page_count = 1, .attributes = WRITE_BACK}, 0},
        };
        convert(wrapping, ARRAY_COUNT(wrapping), &info);
        EXPECT_EQ(info.region_count, 1);
        EXPECT_EQ(info.regions_dropped, 2);

        static struct wide_descriptor many[BOOT_REGIONS_MAX + 3];
        for (size_t i = 0; i < ARRAY_COUNT(many); i++)
                many[i].descriptor = (struct efi_map_descriptor){
                        .type = 7, .pa = i * 0x2000, .page_count = 1, .attributes = WRITE_BACK};
        convert(many, ARRAY_COUNT(many), &info);
        EXPECT_EQ(info.region_count, BOOT_REGIONS_MAX);
        EXPECT_EQ(info.regions_dropped, 3);

        const struct efi_map narrow = {.descriptors = many, .bytes = sizeof(many),
                                       .descriptor_bytes = 39};
        efi_map_to_regions(&narrow, &info);
        EXPECT_EQ(info.region_count, 0);
        EXPECT_EQ(info.regions_dropped, 1);
}

/* ---- boot_efi_tables ---- */

#define TABLES_IMAGE_BYTES (3 * MIB)

struct walk {
        uint64_t pa;
        unsigned level; /* of the entry that ended the walk; 0: nothing there */
};

/* As the CPU would, but with table pages found through the world's physical map. */
static struct walk walk(const struct efi_tables *tables, uint64_t va)
{
        uint64_t table_pa = tables->root_pa;
        for (unsigned level = 4; level > 0; level--) {
                const uint64_t *table = (const uint64_t *)(table_pa + world_physmap_base());
                uint64_t entry = table[va >> (12 + 9 * (level - 1)) & 511];
                uint64_t offset_mask = (4096ull << (9 * (level - 1))) - 1;
                if ((entry & 3) != 3 || (entry >> 63) != 0)
                        return (struct walk){0, 0};
                if (level == 1 || (entry & 0x80) != 0)
                        return (struct walk){(entry & 0xffffffffff000ull & ~offset_mask) |
                                                     (va & offset_mask), level};
                table_pa = entry & 0xffffffffff000ull;
        }
        return (struct walk){0, 0};
}

static struct efi_tables some_tables(struct test *t)
{
        struct efi_tables tables = {.page_count = EFI_TABLES_PAGES(TABLES_IMAGE_BYTES),
                                    .image_va = 0xffffffff80200000ull,
                                    .image_pa = 0x7de01000, /* not 2 MiB aligned */
                                    .image_bytes = TABLES_IMAGE_BYTES,
                                    .jump_pa = 0x7df00123,
                                    .jump_bytes = 32};
        tables.pages = world_pages(t, tables.page_count, &tables.pages_pa);
        memset(tables.pages, 0xff, tables.page_count * PAGE_BYTES);
        return tables;
}

static void expect_image(struct test *t, const struct efi_tables *tables)
{
        for (uint64_t offset = 0; offset < tables->image_bytes; offset += PAGE_BYTES) {
                struct walk found = walk(tables, tables->image_va + offset);
                EXPECT_EQ(found.level, 1);
                EXPECT_EQ(found.pa, tables->image_pa + offset);
        }
        EXPECT_EQ(walk(tables, tables->image_va - 1).level, 0);
        EXPECT_EQ(walk(tables, tables->image_va + tables->image_bytes).level, 0);
}

TEST(boot_efi_tables, image_and_identity_are_mapped_and_nothing_else)
{
        for (unsigned huge = 0; huge < 2; huge++) {
                struct efi_tables tables = some_tables(t);
                tables.huge_pages = huge != 0;
                REQUIRE_TRUE(efi_tables_build(&tables));
                EXPECT_LE(tables.pages_used, tables.page_count);
                expect_image(t, &tables);
                for (uint64_t pa = 0x123; pa < 4 * GIB; pa += MIB) {
                        struct walk found = walk(&tables, pa);
                        EXPECT_EQ(found.level, huge ? 3 : 2);
                        EXPECT_EQ(found.pa, pa);
                }
                EXPECT_EQ(walk(&tables, 4 * GIB).level, 0);
                EXPECT_EQ(walk(&tables, 0xffff800000000000ull).level, 0);
        }
}

TEST(boot_efi_tables, jump_code_above_4_gib_is_mapped_too)
{
        static const uint64_t places[] = {
                4 * GIB,                  /* at once behind the identity map */
                4 * GIB - 16,             /* across its end */
                5 * GIB + 2 * MIB - 16,   /* across a page */
                6 * GIB - 16,             /* across a table */
                512 * GIB - 16,           /* across two levels of tables */
        };
        for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
                struct efi_tables tables = some_tables(t);
                tables.jump_pa = places[i];
                tables.huge_pages = i % 2 != 0;
                REQUIRE_TRUE(efi_tables_build(&tables));
                for (uint64_t pa = places[i]; pa < places[i] + tables.jump_bytes; pa++)
                        EXPECT_EQ(walk(&tables, pa).pa, pa);
                EXPECT_EQ(walk(&tables, 4 * GIB - 1).pa, 4 * GIB - 1);
                expect_image(t, &tables);
        }
}

/* The most that the tables can take is what EFI_TABLES_PAGES
 * promises; one page less is an error. */
TEST(boot_efi_tables, the_promised_page_count_is_enough_and_one_less_is_told)
{
        struct efi_tables tables = some_tables(t);
        tables.jump_pa = 512 * GIB - 16;
        tables.image_va = 0xffffffffc0000000ull - 2 * MIB + PAGE_BYTES; /* across a 1 GiB line */
        tables.image_bytes = 2 * MIB + 2 * PAGE_BYTES;
        tables.page_count = EFI_TABLES_PAGES(tables.image_bytes);
        tables.pages = world_pages(t, tables.page_count, &tables.pages_pa);
        REQUIRE_TRUE(efi_tables_build(&tables));
        expect_image(t, &tables);
        EXPECT_LE(tables.pages_used, tables.page_count);
        tables.page_count = tables.pages_used - 1;
        EXPECT_FALSE(efi_tables_build(&tables));
}
