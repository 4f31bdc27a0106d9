#include "worker/template/builtins.h"

const Builtins template_builtins = {
    .filters = { template_string_filters, template_list_filters, template_value_filters },
    .tests = { template_tests },
    .functions = { template_functions },
    .string_methods = { template_string_methods },
    .dict_methods = { template_dict_methods },
    .loop_methods = { template_loop_methods },
};
