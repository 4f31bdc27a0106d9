"""long_model.py CASE OUT - the golden model of CASE with 512 positions, as BERT has: its own, again and again."""
import json
import shutil
import struct
import sys

case, out = sys.argv[1:]
shutil.copytree(case + "/model", out)
with open(out + "/config.json") as file:
    config = json.load(file)
old = config["max_position_embeddings"]
config["max_position_embeddings"] = 512
with open(out + "/config.json", "w") as file:
    json.dump(config, file)
with open(case + "/model/model.safetensors", "rb") as file:
    whole = file.read()
size = struct.unpack("<Q", whole[:8])[0]
header, data = json.loads(whole[8:8 + size]), whole[8 + size:]
names, body = {}, b""
for name, entry in header.items():
    if name == "__metadata__":
        names[name] = entry
        continue
    piece = data[slice(*entry["data_offsets"])]
    if name.endswith("position_embeddings.weight"):
        piece, entry["shape"][0] = piece * (512 // old), 512
    names[name] = dict(entry, data_offsets=[len(body), len(body) + len(piece)])
    body += piece
text = json.dumps(names).encode()
text += b" " * (-len(text) % 8)
with open(out + "/model.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + body)
