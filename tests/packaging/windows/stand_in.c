/* Stands in for flash-agent.exe: writes down what it was asked, and ends with the code that the test wrote for it. */
#include <stdio.h>
#include <string.h>

int main(int count, char **words)
{
    char asked[512] = "", line[512], *folder = words[0], *cut = strrchr(words[0], '\\');
    int code = 0, number;
    FILE *file;

    if (cut) { /* the name of the folder that it lies in is its version */
        *cut = 0;
        cut = strrchr(folder, '\\');
        folder = cut ? cut + 1 : folder;
    }
    snprintf(asked, sizeof asked, "%s", folder);
    for (number = 1; number < count; number++) {
        strncat(asked, " ", sizeof asked - strlen(asked) - 1);
        strncat(asked, words[number], sizeof asked - strlen(asked) - 1);
    }
    if ((file = fopen("C:\\asked.txt", "a"))) {
        fprintf(file, "%s\n", asked);
        fclose(file);
    }
    if ((file = fopen("C:\\codes.txt", "r"))) {
        while (fgets(line, sizeof line, file)) {
            line[strcspn(line, "\r\n")] = 0;
            cut = strrchr(line, '=');
            if (cut) {
                *cut = 0;
                if (!strcmp(line, asked))
                    sscanf(cut + 1, "%d", &code);
            }
        }
        fclose(file);
    }
    return code;
}
