/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The command line of a kernel that UEFI starts: load options, else a file
 * beside the loader, else fw_cfg.
 *
 * Facts: UEFI 2.10, 9.1 (loaded image), 13.4 and 13.5 (file system), 10.3.5.4 (file
 * path node). OVMF puts what QEMU's -append says into the load options when it
 * starts a loader given by -kernel. */
#include "arch/boot_efi.h"

#include "base/bytes.h"
#include "kernel/boot_info.h"

#define CMDLINE_FILE "paravane.cmd"
#define CMDLINE_FW_CFG_ITEM "opt/paravane/cmdline"
#define PATH_UNITS 256
#define PATH_NODES_MAX 64
/* More than a command line can hold, so that too long is told from just fits. */
#define CMDLINE_FILE_BYTES_MAX (2 * BOOT_CMDLINE_BYTES)

static enum efi_text_result read_load_options(const struct efi_firmware *firmware,
                                              struct efi_text *text)
{
        const EFI_LOADED_IMAGE *loaded = firmware->loaded;
        text->chars[0] = '\0';
        text->truncated = false;
        if (loaded->LoadOptions == NULL || loaded->LoadOptionsSize % sizeof(CHAR16) != 0 ||
            !is_aligned((uintptr_t)loaded->LoadOptions, sizeof(CHAR16)))
                return EFI_TEXT_EMPTY;
        enum efi_text_result result = efi_text_from_utf16(
                loaded->LoadOptions, loaded->LoadOptionsSize / sizeof(CHAR16), text);
        if (result != EFI_TEXT_OK)
                return result;
        efi_text_drop_program_name(text->chars);
        return text->chars[0] != '\0' ? EFI_TEXT_OK : EFI_TEXT_EMPTY;
}

/* Stores the file name part of the device path by which this program was loaded: PATH_UNITS units,
 * terminated, empty when there is none. Paths that are split over several nodes count as none. */
static void image_path(const struct efi_firmware *firmware, CHAR16 *path)
{
        const EFI_DEVICE_PATH *node = firmware->loaded->FilePath;
        path[0] = 0;
        for (unsigned i = 0; node != NULL && i < PATH_NODES_MAX && !IsDevicePathEnd(node); i++) {
                size_t bytes = (size_t)DevicePathNodeLength(node);
                if (bytes < sizeof(*node))
                        return;
                bytes -= sizeof(*node);
                if (DevicePathType(node) == MEDIA_DEVICE_PATH &&
                    node->SubType == MEDIA_FILEPATH_DP && bytes < PATH_UNITS * sizeof(CHAR16)) {
                        memcpy(path, node + 1, bytes);
                        path[bytes / sizeof(CHAR16)] = 0;
                        return;
                }
                node = (const EFI_DEVICE_PATH *)((const uint8_t *)(node + 1) + bytes);
        }
}

/* Opens paravane.cmd beside this program, else in \EFI\BOOT. EFI_NOT_FOUND: in neither. */
static EFI_STATUS open_file(const struct efi_firmware *firmware, EFI_FILE_HANDLE root,
                            EFI_FILE_HANDLE *file)
{
        static CHAR16 standard[] = u"\\EFI\\BOOT\\" CMDLINE_FILE;
        CHAR16 own[PATH_UNITS], beside[PATH_UNITS];
        image_path(firmware, own);
        if (own[0] != 0 &&
            efi_text_beside(&(struct efi_text_path){own, PATH_UNITS}, CMDLINE_FILE,
                            &(struct efi_text_path){beside, PATH_UNITS}) &&
            !EFI_ERROR(root->Open(root, file, beside, EFI_FILE_MODE_READ, 0)))
                return EFI_SUCCESS;
        return root->Open(root, file, standard, EFI_FILE_MODE_READ, 0);
}

/* EFI_NOT_FOUND: no file system, or no such file. EFI_UNSUPPORTED: the file is no text. */
static EFI_STATUS read_file(const struct efi_firmware *firmware, struct efi_text *text)
{
        static uint8_t content[CMDLINE_FILE_BYTES_MAX];
        EFI_FILE_IO_INTERFACE *volume;
        EFI_FILE_HANDLE root, file;
        UINTN bytes = sizeof(content);

        if (EFI_ERROR(firmware->boot->HandleProtocol(firmware->loaded->DeviceHandle,
                                                     &FileSystemProtocol, (void **)&volume)))
                return EFI_NOT_FOUND;
        if (EFI_ERROR(volume->OpenVolume(volume, &root)))
                return EFI_NOT_FOUND;
        EFI_STATUS status = open_file(firmware, root, &file);
        if (EFI_ERROR(status))
                goto undo_root;
        status = file->Read(file, &bytes, content);
        if (EFI_ERROR(status))
                goto undo_file;
        if (efi_text_from_bytes(content, bytes, text) == EFI_TEXT_NOT_TEXT)
                status = EFI_UNSUPPORTED;
undo_file:
        file->Close(file);
undo_root:
        root->Close(root);
        return status;
}

EFI_STATUS efi_cmdline_read(const struct efi_firmware *firmware, struct efi_text *text)
{
        if (read_load_options(firmware, text) == EFI_TEXT_OK)
                return EFI_SUCCESS;
        EFI_STATUS status = read_file(firmware, text);
        if (status == EFI_UNSUPPORTED)
                return efi_report(firmware, CMDLINE_FILE, "not plain ASCII text", status);
        if (EFI_ERROR(status) && status != EFI_NOT_FOUND)
                return efi_report(firmware, CMDLINE_FILE, "cannot be read", status);
        if (!EFI_ERROR(status))
                return EFI_SUCCESS;
        if (efi_fw_cfg_read(CMDLINE_FW_CFG_ITEM, text) == EFI_TEXT_NOT_TEXT)
                return efi_report(firmware, "fw_cfg " CMDLINE_FW_CFG_ITEM, "not plain ASCII text",
                                  EFI_UNSUPPORTED);
        return EFI_SUCCESS;
}
