// What fork copies of the tables that map this process' memory, and so what a child need not fault in again.
#pragma once

namespace moonlet::zygote {

/// Makes fork copy the page tables of programs and libraries too. It leaves those of file mappings to page
/// faults, some twenty in a child that prints a line, unless a page of the mapping was once written to
/// (vma_needs_copy in mm/memory.c, Linux 5.15 and later; before, vm_flags in copy_page_range say the same). So
/// this writes one byte, of the same value, to each. Where the kernel does not let it, nothing changes.
void keep_page_tables();

}  // namespace moonlet::zygote
