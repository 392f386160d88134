#!/usr/bin/env bash
# Makes every video in this folder anew, and checks them against the sums in README.md.
# Wants ffmpeg with libx264, libvpx-vp9, libopus and libmp3lame (Debian: apt-get install ffmpeg).
#
# usage: make.sh [FOLDER]     default: this folder
#
# The encoders run on one thread and with "bitexact", so the same ffmpeg makes the same bytes.
# Another version may make other bytes: then write the new sums into README.md.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here}
mkdir -p "$out"

# A moving test card and one tone, both drawn by ffmpeg itself: nobody's work is copied.
make() { # name, size, rate, seconds, hertz, then the encoder's options
    local name=$1 size=$2 rate=$3 seconds=$4 hertz=$5
    shift 5
    ffmpeg -hide_banner -loglevel error -nostdin -y \
        -f lavfi -i "testsrc2=size=$size:rate=$rate:duration=$seconds" \
        -f lavfi -i "sine=frequency=$hertz:sample_rate=48000:duration=$seconds" \
        -map 0:v -map 1:a -map_metadata -1 -threads 1 \
        -fflags +bitexact -flags:v +bitexact -flags:a +bitexact \
        "$@" "$out/$name"
}

h264=(-c:v libx264 -preset medium -pix_fmt yuv420p)
aac=(-c:a aac -b:a 64k -ac 2)

#    file           size     fps sec  Hz
make clip.mp4       320x240  25  2    440 "${h264[@]}" -crf 26 "${aac[@]}" -movflags +faststart
make tail-moov.mov  480x270  30  1.5  523 "${h264[@]}" -crf 28 "${aac[@]}"
make portrait.mkv   270x480  24  2.5  659 "${h264[@]}" -crf 30 -c:a libopus -b:a 48k -ac 1
make clip.webm      426x240  30  3    330 -c:v libvpx-vp9 -crf 42 -b:v 0 -row-mt 0 -pix_fmt yuv420p -c:a libopus -b:a 48k -ac 2
make clip.ts        352x288  25  1    880 "${h264[@]}" -crf 28 "${aac[@]}" -f mpegts
make clip.avi       176x144  15  1    262 -c:v mpeg4 -q:v 6 -c:a libmp3lame -b:a 64k -ac 1

if [[ $out == "$here" ]]; then
    echo "made:"
    (cd "$here" && sha256sum -- *.mp4 *.mov *.mkv *.webm *.ts *.avi)
fi

wanted=$(grep -oE '^[0-9a-f]{64}  [a-z0-9.-]+$' "$here/README.md") || {
    echo "README.md lists no sums" >&2
    exit 1
}
(cd "$out" && sha256sum --check --strict <<<"$wanted")
