"""Chat templates in the ways of well-known models, small ones for each construct, and conversations to put in them."""

TEMPLATES = {
    "chatml": """{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}""",
    "qwen2": """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful assistant<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}""",
    "qwen2.5": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\nYou are provided with function signatures within <tools></tools> XML tags:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\\n<tool_call>\\n{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}\\n</tool_call><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "qwen3": """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    "llama2": """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""",
    "llama3": """{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}""",
    "llama3.1": """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- This block extracts the system message, so we can slot it into the right place. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}

{#- System message + builtin tools #}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if builtin_tools is defined or tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{%- if builtin_tools is defined %}
    {{- "Tools: " + builtin_tools | reject('equalto', 'code_interpreter') | join(", ") + "\\n\\n"}}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}

{#- Custom tools are passed in a user message with some extra guidance #}
{%- if tools_in_user_message and not tools is none %}
    {#- Extract the first user message so we can plug it in here #}
    {%- if messages | length != 0 %}
        {%- set first_user_message = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("Cannot put tools in the first user message when there's no first user message!") }}
{%- endif %}
    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' -}}
    {{- "Given the following functions, please respond with a JSON for a function call " }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot_id|>"}}
{%- endif %}

{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "mistral": """{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}""",
    "mistral-v3": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- This block checks for alternating user/assistant messages, skipping tool calling messages #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
            {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
""",
    "zephyr": """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
    "gemma": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}""",
    "gemma3": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
""",
    "phi3": """{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'user' %}{{'<|user|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>
' + message['content'] + '<|end|>
'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>
' }}{% else %}{{ eos_token }}{% endif %}""",
    "deepseek": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\n\n' }}{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token }}{% elif message['role'] == 'system' %}{{ message['content'] + '\n\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}""",
    "deepseek-r1": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='', is_first_sp=true) %}{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.is_first_sp %}{% set ns.system_prompt = ns.system_prompt + message['content'] %}{% set ns.is_first_sp = false %}{%- else %}{% set ns.system_prompt = ns.system_prompt + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<｜User｜>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and 'tool_calls' not in message %}{%- if ns.is_tool %}{{'<｜tool▁outputs▁end｜>' + message['content'] + '<｜end▁of▁sentence｜>'}}{%- set ns.is_tool = false -%}{%- else %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- endif %}{%- endfor -%}{% if ns.is_tool %}{{'<｜tool▁outputs▁end｜>'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<｜Assistant｜><think>\\n'}}{% endif %}""",
    "smollm3-like": """{# ───── defaults ───── #}
{%- if enable_thinking is not defined -%}
{%- set enable_thinking = true -%}
{%- endif -%}
{%- set reasoning_mode = "/think" if enable_thinking else "/no_think" -%}
{%- if messages[0].role == "system" -%}
  {%- set system_message = messages[0].content -%}
  {%- if "/no_think" in system_message -%}{%- set reasoning_mode = "/no_think" -%}{%- endif -%}
  {%- set custom_instructions = system_message.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{{- "<|im_start|>system\\n" -}}
{%- if custom_instructions -%}{{- custom_instructions ~ "\\n\\n" -}}{%- endif -%}
{{- "Reasoning Mode: " ~ reasoning_mode ~ "\\n<|im_end|>\\n" -}}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}
        {{ "<|im_start|>" + message.role + "\\n"  + content + "<|im_end|>\\n" }}
    {%- elif message.role == "assistant" -%}
        {% generation %}
        {{ "<|im_start|>assistant\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {% endgeneration %}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ "<|im_start|>assistant\\n" }}{%- endif -%}
""",
    "generation": """{%- for message in messages %}
{%- if message.role == 'assistant' %}
<|assistant|>{% generation %}{{ message.content }}<|end|>{% endgeneration %}
{%- else %}
<|{{ message.role }}|>{{ message.content }}<|end|>
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
<|assistant|>
{%- endif %}
""",
}

# Expressions and white space: each is the template of a case of its own, on MANY[0].
SMALL = r"""
{{ 1 + 2 * 3 - 4 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 6 / 3 }} {{ 1.5 + 1 }}
{{ 1e16 }} {{ 1e15 }} {{ 0.0001 }} {{ 0.00001 }} {{ 123456.789 }} {{ 100.0 }} {{ 1/3 }} {{ -0.5 }} {{ 1e-7 * 3 }} {{ 12e22 }}
{{ "a" ~ 1 ~ none ~ true ~ 2.0 ~ [1, "x'y", 'q"'] ~ {"k": (1,), "m": (1, 2)} ~ () }}
{{ [1, 2, 3][-1] }}{{ [1, 2, 3][1:] }}{{ [1, 2, 3][::-1] }}{{ [1, 2, 3, 4, 5][1:4:2] }}{{ [1, 2, 3][5:] }}{{ [1,2,3][-2:] }}{{ [1,2,3][:-1] }}
{{ "héllo"[1] }}{{ "héllo"[1:3] }}{{ "héllo"[::-1] }}{{ "héllo"|length }}{{ "héllo"[-2:] }}{{ "日本語"|list }}{{ "日本語"|reverse }}
{{ 1 < 2 < 3 }} {{ 1 < 2 > 5 }} {{ "a" < "b" }} {{ 1 == 1.0 }} {{ true == 1 }} {{ "1" == 1 }} {{ none == none }} {{ [1] == [1] }} {{ (1,) == [1] }}
{{ "a" in "cat" }} {{ "x" not in ["x"] }} {{ "k" in {"k": 1} }} {{ 1 in (1, 2) }} {{ not 1 in [2] }} {{ "role" in messages[0] }}
{{ x is defined }} {{ x is not defined }} {{ messages is defined and messages|length > 1 }} {{ none is none }} {{ 1 is odd }} {{ 4 is even }}
{{ "s" is string }} {{ [] is iterable }} {{ {} is mapping }} {{ [] is sequence }} {{ 1 is number }} {{ true is number }} {{ 1.0 is float }} {{ 1 is integer }} {{ true is integer }} {{ true is boolean }} {{ false is false }} {{ 1 is true }}
{{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is equalto 1 }} {{ "a" is in ["a"] }} {{ 2 is ne 3 }} {{ x is undefined }} {{ "s" is mapping }} {{ "s" is iterable }} {{ 1 is iterable }}
{{ x|default("d") }} {{ ""|default("d") }} {{ ""|default("d", true) }} {{ none|d("d") }} {{ none|d("d", boolean=true) }} {{ x|length }} [{{ x }}] [{{ x|trim }}] {{ x|list }}
{{ "  a b  "|trim }}|{{ "xxaxx".strip("x") }}|{{ "xxaxx".lstrip("x") }}|{{ "xxaxx".rstrip("x") }}|{{ "éaé".strip("é") }}|{{ "  a ".lstrip() }}|{{ "\u00a0\u3000a\u2009 ".strip() }}|
{{ "a,b,,c".split(",") }} {{ " a  b c ".split() }} {{ "a,b,c".split(",", 1) }} {{ " a  b c  ".split(none, 1) }} {{ "a--b--c".rsplit("--", 1) }} {{ "".split(",") }} {{ "".split() }} {{ "a\nb\r\nc\n".splitlines() }}
{{ "Hello World".upper() }} {{ "Hello WORLD ÄÖ".lower() }} {{ "hello wORLD it's o'neil".title() }} {{ "hello wORLD it's (x)"|title }} {{ "hELLO"|capitalize }} {{ "a"|upper }} {{ "İ"|lower }}
{{ "abcabc".replace("b", "xx") }} {{ "abcabc"|replace("b", "", 1) }} {{ "abc".startswith("ab") }} {{ "abc".endswith(("x", "c")) }} {{ "abcabc".find("c") }} {{ "abcabc".rfind("c") }} {{ "abcabc".find("z") }} {{ "aaa".count("a") }} {{ "abc".removeprefix("a").removesuffix("c") }}
{{ ["a", "b"]|join(", ") }} {{ [1, 2]|join }} {{ messages|join("|", attribute="role") }} {{ ", ".join(["a", "b"]) }} {{ messages|map(attribute="role")|list }} {{ ["a ", "b"]|map("trim")|list }} {{ ["a", "b"]|map("upper")|join }}
{{ [1, 2]|first }} {{ [1, 2]|last }} [{{ []|first }}] {{ "abc"|first }} {{ [3, 1, 3, 2, 1]|unique|list }} {{ [1, 0, 2]|select|list }} {{ [1, 2, 3]|reject("odd")|list }} {{ [1, 2, 3]|select("in", [1, 3])|list }}
{{ messages|selectattr("role", "equalto", "user")|list|length }} {{ messages|rejectattr("role", "eq", "user")|map(attribute="role")|join(",") }} {{ messages|selectattr("nothing")|list }} {{ messages|selectattr("nothing", "defined")|list }}
{{ {"b": 1, "a": [1, {"x": none}]}|tojson }} {{ {"b": 1, "A": 2}|tojson(sort_keys=true) }} {{ "é\"\\\n\t\u0001<>&'/"|tojson }} {{ "é😀"|tojson(ensure_ascii=true) }} {{ 1.0|tojson }} {{ true|tojson }} {{ none|tojson }} {{ []|tojson(indent=2) }} {{ {}|tojson }}
{{ {"a": [1, 2], "b": {"c": []}}|tojson(indent=2) }} {{ [1, 2]|tojson(separators=(",", ":")) }} {{ (1, "x")|tojson }}
{{ {"a": 1, "b": 2}.items()|list }} {{ {"a": 1}.keys()|list }} {{ {"a": 1}.values()|list }} {{ {"a": 1}.get("a") }} {{ {"a": 1}.get("x") }} {{ {"a": 1}.get("x", 5) }} {{ {"a": 1}|items|list }} {{ {"b": 1, "a": 2}|dictsort }} {{ {"a": 1}.x }} {{ {"items": 1}["items"] }}
{{ "12"|int + 1 }} {{ "x"|int }} {{ "x"|int(7) }} {{ 3.9|int }} {{ "1.5"|float }} {{ -3|abs }} {{ 1|string + "x" }} {{ true|string }} {{ "a"|safe }}
{{ "a\nb\n\nc"|indent }} | {{ "a\nb"|indent(2, true) }} | {{ "a\n\nb"|indent(2, blank=true) }} | {{ "a\nb\n"|indent("> ") }}
{{ "yes" if 1 else "no" }} {{ "yes" if 0 else "no" }} [{{ "yes" if 0 }}] {{ 1 if false else 2 if false else 3 }} {{ (1 or 2) and 3 }} {{ 0 or "" or none }} {{ not not 1 }} {{ "a" if x is defined else "b" }}
{% for i in range(3) %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.cycle("a", "b") }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.depth }} {% endfor %}
{% for i in [] %}x{% else %}none{% endfor %}{% for i in [1, 2, 3, 4] if i % 2 == 0 %}{{ loop.index }}:{{ i }} {% endfor %}{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}{% for k, v in {"x": 1}.items() %}{{ k }}={{ v }}{% endfor %}{% for k in {"x": 1} %}{{ k }}{% endfor %}{% for c in "añb" %}{{ c }}.{% endfor %}{% for i in x %}{% else %}empty{% endfor %}
{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}{{ range(5)|list }}{{ range(2, 5)|list }}{{ range(5, 0, -2)|list }}
{% set a = 1 %}{% for i in [1, 2] %}{{ a }}{% set a = 2 %}{{ a }}{% endfor %}{{ a }}{% set b, c = 1, 2 %}{{ b }}{{ c }}{% set d = 1, 2 %}{{ d }}{% if true %}{% set e = 5 %}{% endif %}{{ e }}{% set f %}block {{ a }}{% endset %}[{{ f }}]
{% set ns = namespace(a=1, b="x") %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}[{{ ns.c }}]{% set ns2 = namespace({"q": 1}, r=2) %}{{ ns2.q }}{{ ns2.r }}{{ dict(a=1, b=2) }}
{% macro m(a, b=2) %}{{ a }}-{{ b }}{% if a == 3 %}{{ m(1) }}{% endif %}{% endmacro %}{{ m(1) }} {{ m(3, 4) }} {{ m(b=5, a=6) }} [{{ m() }}]{% set late = 1 %}{% macro n() %}{{ late }}{% endmacro %}{% set late = 2 %}{{ n() }}{{ m(1)|upper }}
a {%- if true -%} b {%- endif -%} c {{- " d " -}} e   {%- set x = 1 %}   f{# gone #} g {#- gone -#} h
{% raw %}{{ x }} {% if %}{% endraw %} {%- raw -%}  y  {%- endraw -%}  z
{{ "it's" }} {{ 'say "hi"' }} {{ "tab\there" }} {{ "\x41\u00e9\U0001F600\101\q\'" }} {{ "a" "b" 'c' }} {{ '{{' }} {{ "%}" }} {{ '}}' }} {{ {"a": {"b": 1}} }}
{{ messages[0].content.nothing is defined }} {{ messages[0]["content"][0:2] }} {{ messages[-1]["role"] }} {{ messages[99] is defined }} {{ (messages|last).role }} {{ messages[0].get("role", "r") }} {{ messages.0.role }}
{{ strftime_now("%Y-%m-%d %b %B %A %j") }} {{ [1, [2, "x"]] + [3] }} {{ "ab" * 3 }} {{ [0] * 2 }} {{ "\n"|tojson }} {{ bos_token|default("none") }} {{ tools is none }} {{ documents is none }} {{ [] is none }} {{ "\u200b\u00e9\t'"|list }}
{{ x.y }}
{{ undefined_thing.attribute.more }}
{{ 1 + "a" }}
{{ "a" + none }}
{{ x + "a" }}
{{ raise_exception("Stop: " ~ messages|length) }}
{{ [1].append(2) }}
{{ x() }}
{{ 1 / 0 }}
{% for i in 5 %}{% endfor %}
{{ none|length }}
{{ "a" < 1 }}
{{ x|tojson }}
{% if x %}
{{ "a }}
{{ a b }}
{% endif %}
{% for x in y %}{% endif %}
{{ [1, 2 }}
{{ (1 }}
{% set 5 = 1 %}
{% break %}
""".strip("\n").split("\n")

# Where newlines matter, templates of several lines.
LINES = [
    "a\n{% if true %}\nb\n  {% endif %}\nc\n", "  {% if true %}x{% endif %}  \n  y\n\n", "{{ 1 }}\n{{ 2 }}\n\n{{ 3 }}\n",
    "\n\n{%- if true %}\n\n  a  \n\n{%- endif %}\n\nb", "a\n  {%+ if true %}b{% endif +%}\n  c\n", "  {# c #}\n  {#- d #}\n e {# f\n g #} h\n",
    "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n", "{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\nend", "x  \n\t {%- set a = 1 -%} \n\t y {% set b = 2 %}\t\nz",
    "{% if true %}\n\n\na\n{% endif %}", "\u00a0\u2003{% if true %}\u00a0{%- endif %}\u3000{{- 1 -}}\u2009 x", "{% raw %}\n  {{ a }}\n{% endraw %}\nb", "",
    "\n", "{% set a = 1 %}{# x #}\n", "a{% if true %} {% if true %}\n{% endif %} {% endif %}\n  {% if false %}{% endif %}b",
]

MANY = [
    [dict(role="user", content="Hello"), dict(role="assistant", content="Hi, what can I do?"), dict(role="user", content="Sing!")],
    [dict(role="system", content="Be brief."), dict(role="user", content="2+2?"), dict(role="assistant", content="4"),
     dict(role="user", content="And 3+3?"), dict(role="assistant", content="6")],
    [dict(role="user", content="  odd \n white\tspace \u00a0\u3000 "), dict(role="assistant", content="\n\nyes\n\n")],
    [dict(role="system", content="Ünïcödé 日本語 😀 \u200d"), dict(role="user", content="\"quotes\" 'single' \\back\\ <b>&amp;</b> {{ x }} {% y %}"),
     dict(role="assistant", content="</think> <|im_end|> [INST] e\u0301")],
    [dict(role="user", content="")],
    [dict(role="assistant", content="I begin."), dict(role="user", content="No.")],
    [dict(role="user", content="Think."), dict(role="assistant", content="<think>\nhm\n</think>\n\nDone."), dict(role="user", content="More."),
     dict(role="assistant", content="Plain.", reasoning_content="because")],
    [dict(role="user", content=[dict(type="text", text=" part one "), dict(type="image"), dict(type="text", text="part two")]), dict(role="assistant", content="seen")],
    [dict(role="user", content="Weather?"), dict(role="assistant", content=None, tool_calls=[dict(type="function", function=dict(
        name="get_weather", arguments=dict(city="Köln", days=3, exact=True, note=None, at=1.5)))]),
     dict(role="tool", content="{\"t\": 7}"), dict(role="assistant", content="7 degrees.")],
    [dict(role="system", content="/no_think Be brief. "), dict(role="user", content="a" * 50)],
]
TOOLS = [dict(type="function", function=dict(name="get_weather", description="Weather \"now\" für eine Stadt", parameters=dict(
    type="object", properties=dict(city=dict(type="string", description="<city> & more")), required=["city"])))]
