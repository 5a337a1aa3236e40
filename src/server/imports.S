/* How moonletd and moonlet-lua start on MIPS, and call what other libraries define. The linker spends some 60 bytes on each
   function that is imported: a symbol with its name, its hash, a relocation, an address and a stub of four
   words. Here it is a stub of four bytes, and three for a hash of its name. imports.cc finds the functions;
   cmake/list-imports writes imports.inc, the list of them, by hash: a line for each, one of

       import NAME, HASH        a function
       copy NAME, HASH          a variable, of one word, that nobody will change: here is a copy of it
       address NAME, HASH       a variable: NAME_address is its address */

        .set    noreorder
        .option pic0

        .section .rodata.import_hashes, "a"
        .globl  import_hashes
        .hidden import_hashes
import_hashes:

        .set    index, 0
        .macro  next_hash hash
        .set    index, index + 1
        .pushsection .rodata.import_hashes
        .byte   \hash >> 16, \hash >> 8 & 255, \hash & 255
        .popsection
        .endm

        .macro  entry name
        .globl  \name
        .hidden \name
        .set    \name, import_table + 4 * index
        .endm

        .macro  copy name, hash
        entry   \name
        next_hash \hash
        .endm

        .macro  address name, hash
        entry   \name\()_address
        next_hash \hash
        .endm

/* Of the eight registers that MIPS16 code can reach, $2 and $3 are those that hold nothing during a call: arguments are
   in $4 to $7. What is variadic, or passes more arguments on the stack, need not be known here. */
        .set    index, 0
        .macro  import name, hash
        .globl  \name
        .hidden \name
        .type   \name, @function
        .ent    \name
\name:
        li      $2, index
        b       call_import
        .end    \name
        next_hash \hash
        .endm

        .globl  import_multiplier
        .hidden import_multiplier
        .section .text.imports, "ax"
        .set    mips16
#include "imports.inc"

        .ent    call_import
call_import:
        lw      $3, 1f
        sll     $2, $2, 2
        addu    $2, $3, $2
        lw      $2, 0($2)
        jr      $2
        move    $25, $2                 /* where position-independent code looks for its own address */
        .align  2
1:      .word   import_table
        .end    call_import

        .globl  import_count
        .hidden import_count
        .set    import_count, index

#if defined(MOONLET_HOOKS)
/* What is called instead of libc's functions (src/freeze/hooks.cc): each says by its index which it is. */
        .globl  interposed_entries
        .hidden interposed_entries
interposed_entries:
        .macro  interpose name, hash
        li      $2, index - import_count
        b       call_interposed
        next_hash \hash
        .endm
#include "interposed.inc"

        .ent    call_interposed
call_interposed:
        lw      $3, 2f
        jr      $3
        nop
        .align  2
2:      .word   moonlet_interposed
        .end    call_interposed

        .globl  interposed_count
        .hidden interposed_count
        .set    interposed_count, index - import_count
#endif

        .bss
        .align  2
        .globl  import_table
        .hidden import_table
import_table:
        .space  4 * index
        .globl  found_names
        .hidden found_names
found_names:
        .space  4 * index

        .section .text.start, "ax"
        .set    nomips16
        .globl  __start
        .ent    __start
__start:
        move    $4, $29
        li      $2, -8
        and     $29, $29, $2
        jal     moonlet_start
        addiu   $29, $29, -16
        .end    __start

/* What musl's start files make of _fini when nobody adds to it: src/freeze/plain_exit.cc compares others with this. */
        .section .text.empty_fini, "ax"
        .globl  empty_fini
        .hidden empty_fini
empty_fini:
        subu    $29, $29, 32
        sw      $28, 24($29)
        sw      $31, 28($29)
        lw      $28, 24($29)
        lw      $31, 28($29)
        j       $31
        addu    $29, $29, 32

        .section .note.GNU-stack, "", @progbits
