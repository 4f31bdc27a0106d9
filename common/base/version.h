/* version - of all three programs.
 *
 * Threads: any; a constant. */
#ifndef COMMON_BASE_VERSION_H
#define COMMON_BASE_VERSION_H

#define LORA_VERSION "0.1"

#endif
