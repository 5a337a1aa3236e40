/* How moonletd on MIPS starts, and calls what other libraries define. The linker spends some 60 bytes on each
   function that is imported: a symbol with its name, its hash, a relocation, an address and a stub of four
   words. Here it is a stub of four bytes, and a name without what it shares with the one before it. imports.cc
   finds the functions; cmake/Imports.cmake writes imports.inc, the list of them: one line

       import NAME, SHARED, REST

   for each, in order: its first SHARED letters are those of the name before it. Then

       copies
       copy NAME, SHARED, REST

   for each variable, of one word, that nobody will change: here is a copy of it. */

        .set    noreorder
        .option pic0

        .section .rodata.import_names, "a"
        .globl  import_names
        .hidden import_names
import_names:

/* Of the eight registers that MIPS16 code can reach, $2 and $3 are those that hold nothing during a call: arguments are
   in $4 to $7. What is variadic, or passes more arguments on the stack, need not be known here. */
        .set    index, 0
        .macro  import name, shared, rest
        .globl  \name
        .hidden \name
        .type   \name, @function
        .ent    \name
\name:
        li      $2, index
        b       call_import
        .end    \name
        next_name \shared, "\rest"
        .endm

        .macro  copy name, shared, rest
        .globl  \name
        .hidden \name
        .set    \name, import_table + 4 * index
        next_name \shared, "\rest"
        .endm

        .macro  copies
        .globl  import_copies
        .hidden import_copies
        .set    import_copies, import_table + 4 * index
        .endm

        .macro  next_name shared, rest
        .set    index, index + 1
        .pushsection .rodata.import_names
        .byte   \shared
        .ascii  "\rest"
        .popsection
        .endm

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

        .section .rodata.import_names
        .byte   0, 0                    /* the end: a name without letters */

        .section .data.imports, "aw"    /* .data and .text would be padded */
        .align  2
        .globl  find_symbol
        .hidden find_symbol
find_symbol:
        .word   dlsym

        .bss
        .align  2
        .globl  import_table
        .hidden import_table
import_table:
        .space  4 * index + 4

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

        .section .note.GNU-stack, "", @progbits
